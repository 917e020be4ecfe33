//! PDFium, the library that opens PDFs. It is loaded in the child process only.

use std::path::{Path, PathBuf};

use pdfium_render::prelude::{Pdfium, PdfiumError, PdfiumLibraryConfig};

use reading::fault::Fault;

/// The pin of scripts/fetch, which names the version.
const PIN: &str = include_str!("../../../../scripts/pins/pdfium.txt");
/// The library's file.
const FILE: &str = if cfg!(target_os = "macos") { "libpdfium.dylib" } else { "libpdfium.so" };

/// The files in which the library is looked for: `configured` alone, if it is set; else beside the executable, and in
/// `caches`, folders that `scripts/fetch` fills.
pub fn pdf_library_places(configured: Option<&Path>, caches: &[PathBuf]) -> Vec<PathBuf> {
    if let Some(file) = configured {
        return vec![file.to_owned()];
    }
    let beside = std::env::current_exe().ok().and_then(|executable| Some(executable.parent()?.join(FILE)));
    let version = PIN.lines().find_map(|line| line.strip_prefix("pypdfium2==")).unwrap_or_default();
    let version = version.split_whitespace().next().unwrap_or_default();
    let fetched = caches.iter().map(|cache| cache.join("pdfium").join(version).join("pypdfium2_raw").join(FILE));
    beside.into_iter().chain(fetched).collect()
}

/// Loads the library, once in this process: a mail may hold several PDFs.
pub(super) fn load(file: Option<&Path>) -> Result<Pdfium, Fault> {
    let file = file.ok_or_else(|| Fault::pdf_library("it is in none of the places where it is looked for"))?;
    match Pdfium::bind_to_library(file) {
        // Without the host's fonts: the same file gives the same text on every machine.
        Ok(bindings) => Ok(Pdfium::new_with_config(bindings, PdfiumLibraryConfig::new().clear_user_font_paths())),
        // The one that is loaded.
        Err(PdfiumError::PdfiumLibraryBindingsAlreadyInitialized) => Ok(Pdfium::default()),
        Err(_) => Err(Fault::pdf_library("it can't be loaded on this machine")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_library_is_the_only_place() {
        let caches = [PathBuf::from("/cache")];
        assert_eq!(pdf_library_places(Some(Path::new("/x/lib")), &caches), [PathBuf::from("/x/lib")]);
        let places = pdf_library_places(None, &caches);
        assert!(places.iter().any(|place| place.starts_with("/cache/pdfium") && place.ends_with(FILE)), "{places:?}");
    }
}
