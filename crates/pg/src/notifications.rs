//! A connection whose notifications are heard.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::mpsc::UnboundedSender,
};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use crate::{
    DbError,
    pool::{ConnectTarget, Tls},
};

impl ConnectTarget {
    /// Opens one connection, drives it on `runtime`, and sends the payload of each notification to `heard`, which closes
    /// when the connection does.
    ///
    /// # Errors
    ///
    /// As [`ConnectTarget::explain`] says.
    pub async fn connect_listening(&self, runtime: &Handle, heard: UnboundedSender<String>) -> Result<Client, DbError> {
        let failed = |error: tokio_postgres::Error| self.explain(&error);
        match &self.tls {
            Tls::Off => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(failed)?;
                runtime.spawn(hear(connection, heard));
                Ok(client)
            }
            Tls::On(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(failed)?;
                runtime.spawn(hear(connection, heard));
                Ok(client)
            }
        }
    }
}

async fn hear<S, T>(mut connection: Connection<S, T>, heard: UnboundedSender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
        if let AsyncMessage::Notification(notification) = message
            && heard.send(notification.payload().to_owned()).is_err()
        {
            return;
        }
    }
}
