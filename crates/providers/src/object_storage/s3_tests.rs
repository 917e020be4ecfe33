//! The store on S3, against a server that answers by script.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::*;
use domain::{Code, ErrorClass};

const CREATED: &str = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
const COMPLETED: &str = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>";

/// A status of a script's: this request is read and never answered.
const UNANSWERED: u16 = 0;

/// Gives each request, as `METHOD target`, a status and a body.
type Script = fn(&str) -> (u16, &'static str);

struct FakeS3 {
    endpoint: String,
    /// `METHOD target`, and the bytes of the body.
    seen: Arc<Mutex<Vec<(String, usize)>>>,
}

impl FakeS3 {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<(String, usize)>>> = Arc::default();
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let log = log.clone();
                // A client that hangs up midway is part of the tests.
                tokio::spawn(async move { drop(serve(socket, script, &log).await) });
            }
        });
        Self { endpoint, seen }
    }

    fn store(&self) -> ObjectStorage {
        open(&format!("s3://bucket/some/prefix?endpoint={}", self.endpoint)).unwrap()
    }

    fn requests(&self) -> Vec<(String, usize)> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request, one answer, and the connection ends.
async fn serve(socket: TcpStream, script: Script, log: &Mutex<Vec<(String, usize)>>) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut first = String::new();
    socket.read_line(&mut first).await?;
    let mut bytes_len = 0;
    loop {
        let mut header = String::new();
        socket.read_line(&mut header).await?;
        if let Some(length) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            bytes_len = length.trim().parse().unwrap();
        }
        if header.trim().is_empty() {
            break;
        }
    }
    socket.read_exact(&mut vec![0; bytes_len]).await?;
    let request = first.trim_end_matches(" HTTP/1.1\r\n").to_owned();
    let (status, body) = script(&request);
    log.lock().unwrap().push((request, bytes_len));
    if status == UNANSWERED {
        return std::future::pending().await;
    }
    let answer = format!(
        "HTTP/1.1 {status} x\r\netag: e\r\nlast-modified: Sun, 22 Nov 2026 01:02:03 GMT\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await
}

const CREDENTIALS: Credentials<'_> = Credentials { access_key_id: "quite-secret", secret_access_key: "quite-secret" };

fn open(url: &str) -> Result<ObjectStorage, Failure> {
    ObjectStorage::open(&location(url), Some(CREDENTIALS))
}

fn location(url: &str) -> StorageLocation {
    StorageLocation::parse(url, None, "us-east-1").unwrap()
}

/// `n` mebibytes in chunks that do not fit the parts evenly.
fn mebibytes(n: usize) -> Vec<io::Result<Bytes>> {
    (0..n).map(|_| Ok(Bytes::from(vec![7; 1024 * 1024]))).collect()
}

fn multipart(request: &str) -> (u16, &'static str) {
    match request {
        _ if request.contains("?uploads") => (200, CREATED),
        _ if request.starts_with("POST") => (200, COMPLETED),
        _ if request.starts_with("DELETE") => (204, ""),
        _ => (200, ""),
    }
}

#[tokio::test]
async fn a_small_object_is_one_request_in_path_style_under_the_prefix() {
    let s3 = FakeS3::start(|_| (200, "")).await;
    let stored = s3.store().put("raw/u/1", stream::iter(mebibytes(1)).boxed(), 0).await.unwrap();
    assert_eq!(stored.bytes_len, 1024 * 1024);
    assert_eq!(s3.requests(), [("PUT /bucket/some/prefix/raw/u/1".to_owned(), 1024 * 1024)]);
}

#[tokio::test]
async fn a_large_object_goes_in_equal_parts() {
    let s3 = FakeS3::start(multipart).await;
    let stored = s3.store().put("raw/u/1", stream::iter(mebibytes(12)).boxed(), 0).await.unwrap();
    assert_eq!(stored.bytes_len, 12 * 1024 * 1024);
    let parts: Vec<usize> = s3.requests().iter().filter(|(r, _)| r.starts_with("PUT")).map(|(_, n)| *n).collect();
    assert_eq!(parts, [spool::PART_BYTES, spool::PART_BYTES, 2 * 1024 * 1024]);
}

#[tokio::test]
async fn a_body_that_does_not_come_whole_asks_nothing_of_s3() {
    let s3 = FakeS3::start(multipart).await;
    let cut = || Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    for (body, max_bytes, code) in [
        (mebibytes(12), 11 * 1024 * 1024, Code::FileTooLarge),
        (mebibytes(12).into_iter().chain([cut()]).collect(), 0, Code::UploadInterrupted),
    ] {
        let failure = s3.store().put("raw/u/1", stream::iter(body).boxed(), max_bytes).await.unwrap_err();
        assert_eq!(failure.code, code);
    }
    assert_eq!(s3.requests(), []);
}

#[tokio::test]
async fn an_upload_whose_part_is_refused_is_aborted() {
    let s3 = FakeS3::start(|request| match request {
        _ if request.contains("partNumber=2") => (403, "<Error><Code>AccessDenied</Code></Error>"),
        _ => multipart(request),
    })
    .await;
    let failure = s3.store().put("raw/u/1", stream::iter(mebibytes(12)).boxed(), 0).await.unwrap_err();
    assert_eq!(failure.code, Code::StorageDenied);
    let requests = s3.requests();
    assert_eq!(requests.last().unwrap().0, "DELETE /bucket/some/prefix/raw/u/1?uploadId=u1");
    assert!(!requests.iter().any(|(request, _)| request.starts_with("POST") && request.ends_with("uploadId=u1")));
}

#[tokio::test]
async fn an_upload_that_is_given_up_between_two_parts_is_aborted() {
    let s3 = FakeS3::start(|request| match request {
        _ if request.contains("partNumber=2") => (UNANSWERED, ""),
        _ => multipart(request),
    })
    .await;
    let store = s3.store();
    let seen = |begin: &'static str, part: &'static str| {
        let s3 = &s3;
        async move {
            while !s3.requests().iter().any(|(request, _)| request.starts_with(begin) && request.contains(part)) {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        _ = store.put("raw/u/1", stream::iter(mebibytes(12)).boxed(), 0) => unreachable!("the second part is not answered"),
        () = seen("PUT", "partNumber=2") => {}
    }
    seen("DELETE", "uploadId=u1").await;
}

#[tokio::test]
async fn a_refusal_names_its_cause_and_neither_key_nor_secret() {
    let cases: [(Script, &str, Code); 5] = [
        (|_| (403, "<Error><Code>AccessDenied</Code></Error>"), "policy", Code::StorageDenied),
        (
            |_| (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"),
            "AWS_SECRET_ACCESS_KEY",
            Code::StorageCredentialsRefused,
        ),
        (|_| (404, "<Error><Code>NoSuchBucket</Code></Error>"), "bucket does not exist", Code::StorageBucketMissing),
        (|_| (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>"), "region", Code::StorageRegionWrong),
        (|_| (403, "<Error><Code>RequestTimeTooSkewed</Code></Error>"), "clock", Code::StorageClockWrong),
    ];
    for (script, cause, code) in cases {
        let s3 = FakeS3::start(script).await;
        let to = std::env::temp_dir().join("never-written");
        let put = s3.store().put("raw/u/1", stream::iter(mebibytes(1)).boxed(), 0).await.unwrap_err();
        let fetched = s3.store().fetch("raw/u/1", &to).await.unwrap_err();
        for failure in [put, fetched] {
            assert_eq!((failure.code, failure.class), (code, ErrorClass::Configuration));
            assert!(failure.message.contains(cause), "{}", failure.message);
            assert!(!failure.message.contains("raw/u") && !failure.message.contains("quite-secret"));
        }
    }
}

#[tokio::test]
async fn an_unreachable_server_is_transient_and_a_missing_object_is_none() {
    let s3 = FakeS3::start(|_| (404, "")).await;
    assert_eq!(s3.store().head("raw/u/1").await.unwrap(), None);
    s3.store().delete("raw/u/1").await.unwrap();
    let gone = open("s3://bucket?endpoint=http://127.0.0.1:1").unwrap();
    let failure = gone.head("raw/u/1").await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::StorageUnavailable, ErrorClass::Transient));
    assert!(failure.message.contains("nothing answers"), "{}", failure.message);
}

#[tokio::test]
async fn what_s3_has_is_fetched_with_its_size_and_hash() {
    let s3 = FakeS3::start(|_| (200, "abc")).await;
    let to = std::env::temp_dir().join(format!("app-s3-{}", uuid::Uuid::new_v4()));
    let fetched = s3.store().fetch("raw/u/1", &to).await.unwrap().unwrap();
    let content = std::fs::read(&to).unwrap();
    std::fs::remove_file(&to).unwrap();
    assert_eq!((fetched.bytes_len, &*content), (3, &b"abc"[..]));
    assert_eq!(fetched.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[tokio::test]
async fn s3_signs_an_upload_without_being_asked() {
    let store = open("s3://bucket/p?region=eu-central-1").unwrap();
    let url = store.signed_put_url("raw/u/1", Duration::from_secs(900)).await.unwrap().unwrap();
    assert_eq!(url.host_str(), Some("s3.eu-central-1.amazonaws.com"));
    assert_eq!(url.path(), "/bucket/p/raw/u/1");
    assert!(url.query_pairs().any(|(name, value)| name == "X-Amz-Expires" && value == "900"));
    assert!(!url.as_str().contains("quite-secret&"));
}

#[test]
fn a_bucket_without_credentials_is_refused_with_their_names() {
    let failure = ObjectStorage::open(&location("s3://bucket"), None).unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::StorageMisconfigured, ErrorClass::Configuration));
    assert!(failure.message.contains("AWS_ACCESS_KEY_ID"), "{}", failure.message);
}

#[test]
fn the_store_shows_itself_without_secrets() {
    let shown = format!("{:?}", open("s3://bucket/p?endpoint=https://x.example/storage/v1/s3").unwrap());
    assert_eq!(shown, r#"ObjectStorage("s3://bucket/p in us-east-1 at x.example")"#);
}
