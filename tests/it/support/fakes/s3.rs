//! A fake S3 store with one bucket, `documents`, that fails as a test tells it to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::http::{Reply, Request, Server};

const BUCKET: &str = "/storage/v1/s3/documents/";

/// How the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// The key may read and not write.
    DenyPut,
    /// The key may do nothing.
    DenyAll,
    /// The access key is unknown.
    UnknownKey,
    /// The bucket does not exist.
    NoBucket,
    /// The bucket is in another region.
    OtherRegion,
    /// The store does not answer.
    Silence,
    /// A read returns other bytes than were written.
    Garble,
    /// A presigned URL is refused.
    DenySigned,
    /// The key may not delete.
    DenyDelete,
    /// A delete is confirmed but not done.
    KeepDeleted,
    /// Older versions of objects are kept.
    KeepVersions,
    /// Pages of other addresses may not send to it.
    NoCors,
    /// The key may not list.
    DenyList,
}

pub struct S3 {
    server: Server,
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl S3 {
    pub fn start(fault: Fault) -> Self {
        Self::start_with(None, fault)
    }

    /// Uses TLS if a configuration is given.
    pub fn start_with(tls: Option<Arc<rustls::ServerConfig>>, fault: Fault) -> Self {
        let objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let stored = objects.clone();
        let server = Server::start_with(tls, move |request| answer(fault, request, &mut stored.lock().unwrap()));
        Self { server, objects }
    }

    /// The value of STORAGE_URL.
    pub fn storage_url(&self) -> String {
        format!("s3://documents/env?endpoint={}/storage/v1/s3", self.server.url())
    }

    /// The server's base URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Stores an object, as another program would.
    pub fn insert(&self, key: &str) {
        self.objects.lock().unwrap().insert(key.to_owned(), b"x".to_vec());
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    /// Each request as `METHOD path`, and whether a presigned URL was used.
    pub fn requests(&self) -> Vec<(String, bool)> {
        let seen = self.server.seen();
        seen.iter().map(|r| (format!("{} {}", r.method, r.path), r.query.contains("X-Amz-Signature"))).collect()
    }
}

fn error(status: u16, code: &str) -> Reply {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>requested by the test</Message></Error>");
    Reply::Answer(status, "application/xml", body.into_bytes())
}

fn answer(fault: Fault, request: &Request, objects: &mut BTreeMap<String, Vec<u8>>) -> Reply {
    let by_url = request.query.contains("X-Amz-Signature=");
    if request.method == "OPTIONS" && by_url {
        return match fault {
            Fault::NoCors => error(403, "AccessForbidden"),
            _ => Reply::With(
                format!(
                    "access-control-allow-origin: {}\r\naccess-control-allow-methods: GET, PUT\r\n\
                     access-control-allow-headers: content-type\r\n",
                    request.header("origin")
                ),
                Vec::new(),
            ),
        };
    }
    if !by_url && !request.header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=") {
        return error(403, "AccessDenied");
    }
    let method = request.method.as_str();
    match (fault, method) {
        (Fault::DenyPut, "PUT") | (Fault::DenyAll, _) => return error(403, "AccessDenied"),
        (Fault::DenySigned, "PUT") if by_url => return error(403, "SignatureDoesNotMatch"),
        (Fault::UnknownKey, _) => return error(403, "InvalidAccessKeyId"),
        (Fault::NoBucket, _) => return error(404, "NoSuchBucket"),
        (Fault::OtherRegion, _) => return error(400, "AuthorizationHeaderMalformed"),
        (Fault::Silence, _) => return Reply::Silence,
        _ => {}
    }
    if (method, request.path.as_str(), request.query.as_str()) == ("POST", BUCKET.trim_end_matches('/'), "delete") {
        return delete(fault, &String::from_utf8_lossy(&request.body), objects);
    }
    if method == "GET" && request.path.trim_end_matches('/') == BUCKET.trim_end_matches('/') {
        return if fault == Fault::DenyList { error(403, "AccessDenied") } else { list(&request.query, objects) };
    }
    let Some(key) = request.path.strip_prefix(BUCKET) else { return error(404, "NoSuchBucket") };
    let bytes = |body: Vec<u8>| match fault {
        Fault::KeepVersions => Reply::With("x-amz-version-id: v1\r\n".to_owned(), body),
        _ => Reply::Answer(200, "application/octet-stream", body),
    };
    match method {
        "PUT" => {
            objects.insert(key.to_owned(), request.body.clone());
            Reply::empty(200)
        }
        "GET" | "HEAD" => match objects.get(key) {
            Some(_) if fault == Fault::Garble => bytes(b"something else".to_vec()),
            Some(body) => bytes(body.clone()),
            None => error(404, "NoSuchKey"),
        },
        _ => error(405, "MethodNotAllowed"),
    }
}

/// `ListObjectsV2`, in one page.
fn list(query: &str, objects: &BTreeMap<String, Vec<u8>>) -> Reply {
    let value = |name: &str| {
        let (_, value) = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name)?;
        Some(value.into_owned())
    };
    let (prefix, after) = (value("prefix").unwrap_or_default(), value("start-after").unwrap_or_default());
    let elements: String = objects
        .keys()
        .filter(|key| key.starts_with(&prefix) && **key > after)
        .map(|key| {
            format!("<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-11-22T01:02:03.000Z</LastModified></Contents>")
        })
        .collect();
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{elements}</ListBucketResult>"
    );
    Reply::Answer(200, "application/xml", body.into_bytes())
}

/// `DeleteObjects`: the answer has one element for each key, deleted or refused.
fn delete(fault: Fault, body: &str, objects: &mut BTreeMap<String, Vec<u8>>) -> Reply {
    let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
    let elements: String = keys
        .map(|key| match fault {
            Fault::DenyDelete => {
                format!("<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
            }
            Fault::KeepDeleted => format!("<Deleted><Key>{key}</Key></Deleted>"),
            _ => {
                objects.remove(key);
                format!("<Deleted><Key>{key}</Key></Deleted>")
            }
        })
        .collect();
    let body = format!("<?xml version=\"1.0\"?><DeleteResult>{elements}</DeleteResult>");
    Reply::Answer(200, "application/xml", body.into_bytes())
}
