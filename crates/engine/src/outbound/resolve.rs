//! From a name to addresses, behind a trait so that tests can answer as a hostile DNS server would.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// Looks names up.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync {
    /// All addresses of a name. Each one is judged before any is dialled, and nobody looks again.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The operating system's resolver.
///
/// A look-up holds a thread of the runtime's blocking pool until the system gives up on it, also when the
/// attempt that asked is long over.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    #[expect(clippy::disallowed_methods, reason = "the one look-up; its answer goes to the guard")]
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}
