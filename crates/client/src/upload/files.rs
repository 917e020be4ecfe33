//! Which files are meant, what they are, and their hashes.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

const READ_BUFFER_BYTES: usize = 256 * 1024;

/// What one argument stood for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    File(PathBuf),
    /// With the reason, for its line of the report.
    Unreadable(PathBuf, String),
}

/// The files that `arguments` name, a folder standing for the files directly in it: sorted, without hidden ones.
pub(super) fn expand(arguments: &[PathBuf]) -> Vec<Found> {
    arguments
        .iter()
        .flat_map(|path| if path.is_dir() { in_folder(path) } else { vec![Found::File(path.clone())] })
        .collect()
}

fn in_folder(folder: &Path) -> Vec<Found> {
    let unreadable = |error: &io::Error| vec![Found::Unreadable(folder.to_owned(), sentence(error))];
    let entries = match std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return unreadable(&error),
    };
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut files: Vec<_> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file() && !hidden(path)).collect();
    files.sort();
    if files.is_empty() {
        return vec![Found::Unreadable(folder.to_owned(), "The folder holds no files.".to_owned())];
    }
    files.into_iter().map(Found::File).collect()
}

/// What keeps a file from being read.
pub(super) fn sentence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "There is no such file.".to_owned(),
        io::ErrorKind::PermissionDenied => "You may not read this file.".to_owned(),
        kind => format!("The file couldn't be read: {kind}."),
    }
}

/// The name that the server is told: the last part of the path.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The media type that the extension stands for; the server looks at the content anyway.
pub(super) fn mime_of(path: &Path) -> &'static str {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "pdf" => "application/pdf",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "html" | "htm" | "xhtml" => "text/html",
        "md" | "markdown" => "text/markdown",
        "txt" | "text" | "log" => "text/plain",
        "csv" => "text/csv",
        _ => "application/octet-stream",
    }
}

/// Size in bytes and SHA-256 (64 hex digits) of the file.
pub(super) async fn measure(path: &Path) -> io::Result<(u64, String)> {
    if tokio::fs::metadata(path).await?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut file = tokio::fs::File::open(path).await?;
    let (mut bytes_len, mut sha256) = (0, Sha256::new());
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    loop {
        match file.read(&mut buffer).await? {
            0 => break,
            n => {
                bytes_len += n as u64;
                sha256.update(&buffer[..n]);
            }
        }
    }
    Ok((bytes_len, domain::hex(sha256.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("app-files-{}", uuid::Uuid::new_v4()));
            std::fs::create_dir_all(folder.join("inner")).unwrap();
            for name in ["b.pdf", "a.md", ".hidden", "inner/deep.pdf"] {
                std::fs::write(folder.join(name), b"abc").unwrap();
            }
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_folder_stands_for_the_visible_files_directly_in_it_in_order() {
        let folder = Folder::new();
        let file = |name: &str| Found::File(folder.0.join(name));
        let missing = PathBuf::from("/nonexistent.pdf");
        assert_eq!(
            expand(&[folder.0.clone(), missing.clone(), folder.0.join(".hidden")]),
            [file("a.md"), file("b.pdf"), Found::File(missing), file(".hidden")]
        );
    }

    #[test]
    fn a_folder_without_files_is_reported() {
        let folder = Folder::new();
        std::fs::remove_file(folder.0.join("inner/deep.pdf")).unwrap();
        assert!(
            matches!(&expand(&[folder.0.join("inner")])[..], [Found::Unreadable(_, why)] if why.contains("no files"))
        );
    }

    #[test]
    fn the_media_type_follows_the_extension_whatever_its_case() {
        assert_eq!(mime_of(Path::new("x/Report.PDF")), "application/pdf");
        assert_eq!(mime_of(Path::new("notes.md")), "text/markdown");
        assert_eq!(mime_of(Path::new("README")), "application/octet-stream");
        assert_eq!(mime_of(Path::new("archive.tar.gz")), "application/octet-stream");
    }

    #[tokio::test]
    async fn a_file_is_measured_as_sha256sum_does() {
        let folder = Folder::new();
        let (bytes_len, sha256) = measure(&folder.0.join("b.pdf")).await.unwrap();
        assert_eq!(bytes_len, 3);
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sentence(&measure(Path::new("/nonexistent")).await.unwrap_err()), "There is no such file.");
    }
}
