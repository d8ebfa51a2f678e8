//! The way from a node to its PostgreSQL server: a proxy on loopback that knows as much of the protocol as it takes to tell
//! where a message ends and which one is a COMMIT.
//!
//! It can cut a connection right before a COMMIT reaches the server, or right after the server has said that it committed and
//! before the node hears of it; hold up commits; hold everything, also from a COMMIT on whose answer is held, too; and cut all
//! connections. It can wait with that for a transaction that writes decisions.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::orders::{Cut, Fate, Orders};

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

    /// What is to go wrong at commits. A node that stands still at one has everything held from there on.
    pub(crate) fn orders(&self) -> MutexGuard<'_, Orders> {
        self.line.orders.lock()
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
        // Under the lock under which it is held at a commit.
        let mut orders = self.line.orders.lock();
        orders.go_on();
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
    let mut transaction = Transaction::default();
    loop {
        let message = read(&mut node).await?;
        transaction.goes_on(&message);
        if is_commit(&message) {
            let slow = line.orders.lock().slow_by(transaction.writes_decisions);
            if let Some(by) = slow {
                sleep(by).await;
            }
            let fate = line.fate_of(&transaction);
            match fate {
                Fate::Passes => {}
                Fate::IsCut(Cut::BeforeCommit) => {
                    (line.note)("a connection is cut before a COMMIT");
                    return Ok(());
                }
                Fate::IsCut(Cut::AfterCommit) => hush.store(true, Ordering::Relaxed),
                Fate::IsLast(stand) => {
                    server.write_all(&message).await?;
                    stand();
                    (line.note)("it stands still after a COMMIT");
                    continue;
                }
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

/// The transaction that a connection is in, as its messages show it.
#[derive(Default)]
struct Transaction {
    /// Names of prepared statements that write decisions.
    writers: HashSet<Vec<u8>>,
    writes_decisions: bool,
}

impl Transaction {
    fn goes_on(&mut self, message: &[u8]) {
        let mut texts = message[5..].split(|byte| *byte == 0);
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        match message[0] {
            b'Q' if first.starts_with(b"BEGIN") => self.writes_decisions = false,
            // A statement's name, and its text.
            b'P' if second.starts_with(b"INSERT INTO decisions ") => {
                self.writers.insert(first.to_vec());
            }
            b'P' => {
                self.writers.remove(first);
            }
            // A portal's name, and that of a statement.
            b'B' => self.writes_decisions |= self.writers.contains(second),
            _ => {}
        }
    }
}

impl Line {
    fn fate_of(&self, transaction: &Transaction) -> Fate {
        let mut orders = self.orders.lock();
        let fate = orders.fate(transaction.writes_decisions);
        if matches!(fate, Fate::IsLast(_)) {
            self.held.send_replace(true);
        }
        fate
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

    #[test]
    fn a_transaction_that_writes_decisions_is_told_from_others() {
        let begin = message(b'Q', "BEGIN; SELECT 1");
        let prepared = |name: &str, text: &str| message(b'P', &format!("{name}\0{text}\0"));
        let bound = |name: &str| message(b'B', &format!("\0{name}\0"));
        let mut transaction = Transaction::default();
        for (message, writes) in [
            (begin.clone(), false),
            (prepared("s0", "INSERT INTO decisions (decision) VALUES ($1)"), false),
            (prepared("s1", "INSERT INTO decision_feed (decision) VALUES ($1)"), false),
            (bound("s1"), false),
            (bound("s0"), true),
            (bound("s1"), true),
            (begin, false),
            (bound("s0"), true),
        ] {
            transaction.goes_on(&message);
            assert_eq!(
                transaction.writes_decisions,
                writes,
                "{}",
                String::from_utf8_lossy(&message)
            );
        }
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
