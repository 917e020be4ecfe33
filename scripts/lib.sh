# Sourced by the other scripts. Works with the bash 3.2 of macOS.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${APP_CACHE_DIR:-$root/.cache}
models_dir=$cache/models
model_dir=$models_dir/multilingual-e5-small
minilm_dir=$models_dir/all-MiniLM-L6-v2

# Prints one line, which says what is wrong and what to do, and exits 1.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# The SHA-256 of a file, as 64 hex digits.
sha256() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# The version that a pin file names: `name==VERSION \`.
pinned_version() { sed -n 's/^[a-z0-9-]*==\([^ ]*\).*/\1/p' "$root/scripts/pins/$1.txt"; }

postgres_dir=$cache/postgres/$(pinned_version postgres)
pdfium_dir=$cache/pdfium/$(pinned_version pdfium)
if [ "$(uname -s)" = Darwin ]; then pdfium_library=libpdfium.dylib; else pdfium_library=libpdfium.so; fi
pdfium_library=$pdfium_dir/pypdfium2_raw/$pdfium_library
ocr_dir=$cache/ocr
cargo_deny=$cache/cargo-deny/$(pinned_version cargo-deny)/cargo-deny

# Programs that only tests need. Root's servers run under another account, which could not read them below root's home.
if [ "$(id -u)" = 0 ]; then test_tools=/var/lib/app-dev/test-tools; else test_tools=$cache/test-tools; fi

# Checks for what a build needs besides the crates, which would otherwise fail with pages of compiler output.
need_toolchain() {
    command -v cargo >/dev/null 2>&1 ||
        die "Rust is not installed: install it with rustup (https://rustup.rs), then run this again"
    command -v cc >/dev/null 2>&1 ||
        die "no C compiler (cc) is installed, and the TLS library needs one: install gcc (apt-get install gcc libc6-dev) or, on macOS, run xcode-select --install"
}

# The cargo profile of all builds: `fast`, which people run, or `ci`.
profile=${APP_PROFILE:-fast}

# Where cargo puts its binaries.
target_dir() { printf '%s/%s\n' "${CARGO_TARGET_DIR:-$root/target}" "$profile"; }
