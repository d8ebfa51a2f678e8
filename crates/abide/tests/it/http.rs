//! Calls to the API, one connection each, read to the end.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::program::PATIENCE;

/// The API under some headers.
#[derive(Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    headers: String,
}

impl Api {
    pub(crate) fn new(address: SocketAddr, bearer_token: &str) -> Self {
        Self { address, headers: format!("Authorization: Bearer {bearer_token}\r\n") }
    }

    pub(crate) fn with_pair(address: SocketAddr, key: &str, secret: &str) -> Self {
        Self { address, headers: format!("X-API-Key: {key}\r\nX-API-Secret: {secret}\r\n") }
    }

    /// The same with one more header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        Self { address: self.address, headers: format!("{}{name}: {value}\r\n", self.headers) }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, "").unwrap()
    }

    pub(crate) fn post(&self, path: &str, json: &Value) -> (u16, Value) {
        self.call("POST", path, &json.to_string()).unwrap()
    }

    /// An error when the server went away meanwhile.
    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (headers, length) = (&self.headers, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: abide\r\nConnection: close\r\n{headers}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut_off)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        // Without a whole body the caller knows nothing: the same as no answer.
        let length = head.to_lowercase().lines().find_map(|line| {
            line.strip_prefix("content-length: ").and_then(|length| length.parse::<usize>().ok())
        });
        if length.is_some_and(|length| body.len() < length) {
            return Err(cut_off());
        }
        let json = serde_json::from_str(body).unwrap_or(Value::Null);
        Ok((status.ok_or_else(cut_off)?, json))
    }

    /// Subscribes a receiver to everything.
    pub(crate) fn subscribe(&self, receiver: SocketAddr, secret: &str) {
        let url = format!("http://{receiver}/hook");
        let webhook = json!({"url": url, "events": ["*"], "secret": secret});
        let (status, answer) = self.post("/v1/webhooks", &webhook);
        assert_eq!(status, 201, "{answer}");
    }

    /// Records a person's consent and answers its id.
    pub(crate) fn consent(&self, subject: &str) -> String {
        let consent = json!({
            "subject_id": subject, "subject_email": format!("{subject}@example.org"),
            "consent_type": "marketing", "granted": true,
        });
        let (status, answer) = self.post("/v1/consent", &consent);
        assert_eq!(status, 201, "{answer}");
        answer["data"]["id"].as_str().unwrap().to_owned()
    }
}
