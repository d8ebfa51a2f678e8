//! The way from a node to its PostgreSQL server: a proxy on loopback that knows as much of the protocol as it takes to tell
//! where a message ends and which one is a COMMIT.
//!
//! It can cut a connection right before a COMMIT reaches the server, or right after the server has said that it committed and
//! before the node hears of it; hold up commits; hold everything; and cut all connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Before the server gets a COMMIT.
    BeforeCommit,
    /// After the server has committed, and before the node hears of it.
    AfterCommit,
}

/// See the module. Ends when it is dropped, with every connection.
pub(crate) struct Wire {
    port: u16,
    line: Arc<Line>,
    accepts: AbortHandle,
}

struct Line {
    server: SocketAddr,
    orders: Mutex<Orders>,
    held: watch::Sender<bool>,
    /// How often all connections were cut; [`NO_MORE`] when none is let in any more.
    cuts: watch::Sender<u64>,
    /// Notes what was done.
    note: Box<dyn Fn(&str) + Send + Sync>,
}

const NO_MORE: u64 = u64::MAX;

#[derive(Default)]
struct Orders {
    /// Where the next cut is, and how many commits come by there first.
    cut: Option<(Cut, u8)>,
    /// How many commits still take so much longer.
    slow: (u8, Duration),
}

impl Wire {
    pub(crate) async fn new(
        server: SocketAddr,
        note: Box<dyn Fn(&str) + Send + Sync>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port")?;
        let port = listener.local_addr()?.port();
        let line = Arc::new(Line {
            server,
            orders: Mutex::default(),
            held: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            note,
        });
        let accepting = Arc::clone(&line);
        let accepts = tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                tokio::spawn(carry(Arc::clone(&accepting), node));
            }
        });
        Ok(Self { port, line, accepts: accepts.abort_handle() })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the connection of one commit, after so many others have passed.
    pub(crate) fn cut_at(&self, cut: Cut, passes: u8) {
        self.line.orders.lock().cut = Some((cut, passes));
    }

    /// The next commits take longer.
    pub(crate) fn slow_down(&self, commits: u8, by: Duration) {
        self.line.orders.lock().slow = (commits, by);
    }

    /// Nothing is planned any more.
    pub(crate) fn calm(&self) {
        *self.line.orders.lock() = Orders::default();
    }

    /// Cuts every connection there is.
    pub(crate) fn cut_all(&self) {
        self.line.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets nothing through, and forgets nothing.
    pub(crate) fn hold(&self) {
        self.line.held.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.line.held.send_replace(false);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepts.abort();
        self.line.cuts.send_replace(NO_MORE);
    }
}

/// Carries one connection until either side ends it, or a cut.
async fn carry(line: Arc<Line>, node: TcpStream) {
    let mut cuts = line.cuts.subscribe();
    if *cuts.borrow() == NO_MORE {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "a proxy of tests, on loopback alone")]
    let server = TcpStream::connect(line.server).await;
    let Ok(server) = server else { return };
    let _ = (node.set_nodelay(true), server.set_nodelay(true));
    let (from_node, to_node) = node.into_split();
    let (from_server, to_server) = server.into_split();
    let hush = AtomicBool::new(false);
    // However it ends, both sides are closed.
    tokio::select! {
        _ = requests(&line, &hush, BufReader::new(from_node), to_server) => {}
        _ = answers(&line, &hush, BufReader::new(from_server), to_node) => {}
        _ = cuts.changed() => {}
    }
}

/// Waits until what is held is let through.
async fn passes(line: &Line) {
    // It ends with its line.
    let _ = line.held.subscribe().wait_for(|held| !held).await;
}

/// From the node to the server.
async fn requests(
    line: &Line,
    hush: &AtomicBool,
    mut node: impl AsyncRead + Unpin,
    mut server: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    // The first message has no kind.
    let mut first = vec![0; 4];
    node.read_exact(&mut first).await?;
    read_rest(&mut node, &mut first, 0).await?;
    server.write_all(&first).await?;
    // A driver hands a statement with its values to the system in one piece, up to its Sync: it is held whole, or not at all.
    let mut is_within = false;
    loop {
        let message = read(&mut node).await?;
        if is_commit(&message) {
            let (slow, cut) = line.orders.lock().at_commit();
            if let Some(by) = slow {
                sleep(by).await;
            }
            match cut {
                Some(Cut::BeforeCommit) => {
                    (line.note)("a connection is cut before a COMMIT");
                    return Ok(());
                }
                Some(Cut::AfterCommit) => hush.store(true, Ordering::Relaxed),
                None => {}
            }
        }
        if !is_within {
            passes(line).await;
        }
        is_within = matches!(message[0], b'P' | b'B' | b'D' | b'E' | b'C' | b'H');
        server.write_all(&message).await?;
    }
}

/// From the server to the node.
async fn answers(
    line: &Line,
    hush: &AtomicBool,
    mut server: impl AsyncRead + Unpin,
    mut node: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    loop {
        let message = read(&mut server).await?;
        // How the COMMIT went: that it is complete, or an error.
        if hush.load(Ordering::Relaxed) && (message[0] == b'E' || ends_transaction(&message)) {
            (line.note)("a connection is cut after a COMMIT");
            return Ok(());
        }
        passes(line).await;
        node.write_all(&message).await?;
    }
}

/// A whole message: its kind, its length, and what it says.
async fn read(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message).await?;
    read_rest(from, &mut message, 1).await?;
    Ok(message)
}

/// The rest of a message whose length stands at that place, and counts from there.
async fn read_rest(
    from: &mut (impl AsyncRead + Unpin),
    message: &mut Vec<u8>,
    place: usize,
) -> std::io::Result<()> {
    let length = message[place..place + 4].try_into().map_or(0, u32::from_be_bytes) as usize;
    message.resize((place + length).max(message.len()), 0);
    from.read_exact(&mut message[place + 4..]).await?;
    Ok(())
}

/// Whether it asks for a COMMIT, alone or among other statements.
fn is_commit(message: &[u8]) -> bool {
    let Some((b'Q', rest)) = message.split_first() else { return false };
    let text = String::from_utf8_lossy(rest.get(4..).unwrap_or_default());
    text.trim_end_matches('\0').split(';').any(|one| one.trim().eq_ignore_ascii_case("COMMIT"))
}

/// Whether it says that a transaction is over.
fn ends_transaction(message: &[u8]) -> bool {
    message[0] == b'C'
        && (message[5..].starts_with(b"COMMIT") || message[5..].starts_with(b"ROLLBACK"))
}

impl Orders {
    /// What a commit meets: how much longer it takes, and where its connection is cut.
    fn at_commit(&mut self) -> (Option<Duration>, Option<Cut>) {
        let slow = (self.slow.0 > 0).then_some(self.slow.1);
        self.slow.0 = self.slow.0.saturating_sub(1);
        let cut = match &mut self.cut {
            Some((_, passes)) if *passes > 0 => {
                *passes -= 1;
                None
            }
            cut => cut.take().map(|(cut, _)| cut),
        };
        (slow, cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, text: &str) -> Vec<u8> {
        let mut message = vec![kind];
        message.extend_from_slice(&(text.len() as u32 + 5).to_be_bytes());
        message.extend_from_slice(text.as_bytes());
        message.push(0);
        message
    }

    #[test]
    fn a_commit_is_told_from_what_only_speaks_of_one() {
        for (kind, text, is) in [
            (b'Q', "COMMIT", true),
            (b'Q', "commit;", true),
            (b'Q', "COMMIT; BEGIN", true),
            (b'Q', "SELECT 'COMMIT'", false),
            (b'Q', "BEGIN; SELECT 1", false),
            (b'P', "COMMIT", false),
        ] {
            assert_eq!(is_commit(&message(kind, text)), is, "{text}");
        }
        assert!(ends_transaction(&message(b'C', "COMMIT")));
        assert!(!ends_transaction(&message(b'C', "SELECT 1")));
        assert!(!ends_transaction(&message(b'D', "COMMIT")));
    }

    #[tokio::test]
    async fn messages_end_where_they_say() {
        let mut all = message(b'Q', "one");
        all.extend(message(b'Q', "another"));
        let mut from = &all[..];
        assert_eq!(read(&mut from).await.unwrap(), message(b'Q', "one"));
        assert_eq!(read(&mut from).await.unwrap(), message(b'Q', "another"));
        assert!(read(&mut from).await.is_err());
    }
}
