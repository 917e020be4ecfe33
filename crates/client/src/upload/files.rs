//! The files that the arguments name, their media types and hashes.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use domain::{Code, Failure, hex, ports::FileKind};

const READ_BUFFER_BYTES: usize = 256 * 1024;

/// A file to upload, or an argument that names none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    File(PathBuf),
    /// With the reason, for its row of the table.
    Unreadable(PathBuf, String),
}

impl Input {
    /// What was named.
    pub(super) fn into_path(self) -> PathBuf {
        match self {
            Self::File(path) | Self::Unreadable(path, _) => path,
        }
    }
}

/// The files that `arguments` name. A folder stands for the visible files directly in it, in order of their names.
pub(super) fn list(arguments: &[PathBuf]) -> Vec<Input> {
    arguments
        .iter()
        .flat_map(|path| if path.is_dir() { in_folder(path) } else { vec![Input::File(path.clone())] })
        .collect()
}

fn in_folder(folder: &Path) -> Vec<Input> {
    let refused = |error: &io::Error| vec![Input::Unreadable(folder.to_owned(), unreadable(error).message)];
    let entries = match std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return refused(&error),
    };
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut files: Vec<_> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file() && !hidden(path)).collect();
    files.sort();
    if files.is_empty() {
        return vec![Input::Unreadable(folder.to_owned(), "The folder holds no files.".to_owned())];
    }
    files.into_iter().map(Input::File).collect()
}

/// The failure of a file that cannot be read.
pub(crate) fn unreadable(error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "There is no such file.".to_owned(),
        io::ErrorKind::PermissionDenied => "You may not read this file.".to_owned(),
        kind => format!("The file couldn't be read: {kind}."),
    };
    Failure::new(Code::Unreadable, why)
}

/// The name that the server gets: the last part of the path.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The media type for the extension. The server checks the content, whatever is declared.
pub(crate) fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    match FileKind::from_extension(extension) {
        Some(kind) => kind.media_type(),
        None => "application/octet-stream",
    }
}

/// The file's size in bytes and its SHA-256 as 64 hex digits.
pub(super) async fn measure(path: &Path) -> io::Result<(u64, String)> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut bytes_len = 0;
    let mut sha256 = Sha256::new();
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
    Ok((bytes_len, hex(sha256.finalize())))
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
        let file = |name: &str| Input::File(folder.0.join(name));
        let missing = PathBuf::from("/nonexistent.pdf");
        assert_eq!(
            list(&[folder.0.clone(), missing.clone(), folder.0.join(".hidden")]),
            [file("a.md"), file("b.pdf"), Input::File(missing), file(".hidden")]
        );
    }

    #[test]
    fn a_folder_without_files_is_reported() {
        let folder = Folder::new();
        std::fs::remove_file(folder.0.join("inner/deep.pdf")).unwrap();
        assert!(
            matches!(&list(&[folder.0.join("inner")])[..], [Input::Unreadable(_, why)] if why.contains("no files"))
        );
    }

    #[test]
    fn the_media_type_follows_the_extension_in_any_case() {
        assert_eq!(media_type(Path::new("x/Report.PDF")), "application/pdf");
        assert_eq!(media_type(Path::new("notes.md")), "text/markdown");
        assert_eq!(media_type(Path::new("README")), "application/octet-stream");
        assert_eq!(media_type(Path::new("archive.tar.gz")), "application/octet-stream");
    }

    #[tokio::test]
    async fn the_hash_is_what_sha256sum_prints() {
        let folder = Folder::new();
        let (bytes_len, sha256) = measure(&folder.0.join("b.pdf")).await.unwrap();
        assert_eq!(bytes_len, 3);
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(
            unreadable(&measure(Path::new("/nonexistent")).await.unwrap_err()).message,
            "There is no such file."
        );
    }
}
