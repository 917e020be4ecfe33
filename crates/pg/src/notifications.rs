//! A connection that passes on its notifications.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::mpsc::UnboundedSender,
};
use tokio_postgres::{AsyncMessage, Client, Connection};

use crate::{ConnectTarget, DbError};

impl ConnectTarget {
    /// Opens one connection, drives it on `runtime`, and sends the payload of each notification to `payloads`. The channel
    /// closes when the connection does.
    ///
    /// # Errors
    ///
    /// [`DbError::Connect`], as [`ConnectTarget::explain`] makes it.
    pub async fn connect_listening(
        &self,
        runtime: &Handle,
        payloads: UnboundedSender<String>,
    ) -> Result<Client, DbError> {
        let connected = self.config.connect(self.tls.clone()).await;
        let (client, connection) = connected.map_err(|error| self.explain(&error))?;
        runtime.spawn(forward(connection, payloads));
        Ok(client)
    }
}

async fn forward<S, T>(mut connection: Connection<S, T>, payloads: UnboundedSender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
        if let AsyncMessage::Notification(notification) = message
            && payloads.send(notification.payload().to_owned()).is_err()
        {
            return;
        }
    }
}
