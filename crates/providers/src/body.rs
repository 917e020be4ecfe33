use reqwest::Response;

/// The whole body of an answer; `None` if it is longer than `max_bytes`.
pub(crate) async fn read_body(mut response: Response, max_bytes: u64) -> Result<Option<Vec<u8>>, reqwest::Error> {
    if response.content_length().is_some_and(|bytes| bytes > max_bytes) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if (body.len() + piece.len()) as u64 > max_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}
