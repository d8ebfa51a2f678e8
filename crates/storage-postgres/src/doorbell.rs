//! Listening for what is rung at other connections.

use std::future::poll_fn;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, Error};

use crate::address::Address;

/// A connection that hears while it is kept, and by whom it was rung: the numbers of the server's processes.
pub(crate) type Listening = (Client, UnboundedReceiver<i32>);

/// Listens to a bell, in the runtime that this runs in; `None` where nothing can be heard through what stands before the server.
pub(crate) async fn listen(address: &Address, bell: &str) -> Option<Result<Listening, Error>> {
    let made = address.connect_to_listen().await?;
    let (client, mut connection) = match made {
        Ok(made) => made,
        Err(error) => return Some(Err(error)),
    };
    let (heard, rings) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(ring) = message
                && heard.send(ring.process_id()).is_err()
            {
                break;
            }
        }
    });
    let listens = client.batch_execute(&format!("LISTEN {bell}")).await;
    Some(listens.map(|()| (client, rings)))
}
