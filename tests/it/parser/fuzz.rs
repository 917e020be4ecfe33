//! Damaged files at random: each parse ends, with a text or a failure of its own, and the worker does not grow.
//!
//! `scripts/fuzz_readers` has more files and another seed tried.

use std::{
    env, fs,
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{ErrorClass, ports::ParseLimits};
use futures_util::{StreamExt, stream};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::{LIMITS, TempFile, parser_running, read};

/// No file of the samples takes a tenth of it.
const LIMITS_OF_ONE: ParseLimits =
    ParseLimits { time: Duration::from_secs(10), memory_bytes: 512 << 20, max_pages: 50, ..LIMITS };
/// By the clock, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the worker's side may grow by, in KiB.
const MAX_GROWTH_KIB: u64 = 64 << 10;
/// Larger samples are left out: their mutations are as deep, and slower.
const MAX_SAMPLE_BYTES: u64 = 1 << 20;

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The files to damage, in order of their names.
fn samples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let more = env::var_os("APP_FUZZ_SAMPLES").map(PathBuf::from);
    let mut folders: Vec<PathBuf> = [root.join("samples"), root.join("tests/data")].into_iter().chain(more).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.len() > 0 && metadata.len() <= MAX_SAMPLE_BYTES && entry.path().extension().is_some() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// The file with some damage; that of an archive is mostly in the text of one of its parts.
fn damaged(bytes: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    if bytes.starts_with(b"PK\x03\x04")
        && random.u8(..) > 50
        && let Some(archive) = with_damaged_part(bytes, random)
    {
        return archive;
    }
    let mut bytes = bytes.to_vec();
    for _ in 0..random.usize(1..8) {
        damage(&mut bytes, random);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = random.usize(..bytes.len());
    let end = (at + random.usize(1..200)).min(bytes.len());
    match random.u8(..7) {
        0 => bytes[at] = random.u8(..),
        1 => bytes[at] ^= 1 << random.u8(..8),
        2 => bytes[at..end].fill(0),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].repeat(random.usize(1..20));
            drop(bytes.splice(at..at, piece));
        }
        // A number becomes another one, often a huge one.
        5 => {
            let number = random.choice(["0", "-1", "65536", "2147483647", "99999999999999999999"]).unwrap_or("0");
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            drop(bytes.splice(at..at + digits, number.bytes()));
        }
        _ if random.u8(..) < 64 => bytes.truncate(at),
        _ => bytes[at] = b'<',
    }
}

fn with_damaged_part(bytes: &[u8], random: &mut fastrand::Rng) -> Option<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let chosen = random.usize(..archive.len().max(1));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).ok()?;
        let mut content = Vec::new();
        let name = part.name().to_owned();
        part.read_to_end(&mut content).ok()?;
        if index == chosen {
            for _ in 0..random.usize(1..8) {
                damage(&mut content, random);
            }
        }
        zip.start_file(name, SimpleFileOptions::default()).ok()?;
        zip.write_all(&content).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}

/// The memory of this process, in KiB; `None` where the system does not say.
fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[tokio::test]
async fn every_damaged_file_ends_and_the_worker_does_not_grow() {
    let (count, seed) = (setting("APP_FUZZ_FILES", 200_u64), setting("APP_FUZZ_SEED", 20_261_130_u64));
    let (samples, parser) = (samples(), parser_running(env!("CARGO_BIN_EXE_app")));
    assert!(samples.len() > 5, "{samples:?}");
    let run = |at: u64| {
        // Each file can be made again from the seed and its number.
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(at));
        let sample = samples[random.usize(..samples.len())].clone();
        let file = TempFile::new(&damaged(&fs::read(&sample).unwrap(), &mut random));
        let name = sample.file_name().unwrap().to_string_lossy().into_owned();
        let parser = &parser;
        async move {
            let parsed = read(parser, &file.0, "", &name, LIMITS_OF_ONE);
            let Ok(parsed) = tokio::time::timeout(PATIENCE, parsed).await else {
                panic!("file {at} of seed {seed}, from {name}, does not end");
            };
            match parsed {
                Ok(_) => None,
                Err(failure) => {
                    assert_eq!(failure.class, ErrorClass::Document, "file {at} of seed {seed}, from {name}: {failure}");
                    Some(failure.code)
                }
            }
        }
    };
    // The first files warm up what stays.
    let warm = count.min(50);
    stream::iter(0..warm).map(run).buffer_unordered(4).for_each(|_| async {}).await;
    let before = resident_kib();
    let mut codes = std::collections::BTreeMap::new();
    let mut answers = stream::iter(warm..count).map(run).buffer_unordered(4);
    while let Some(code) = answers.next().await {
        *codes.entry(code.map_or("read", |code| code.as_str())).or_insert(0_u64) += 1;
    }
    println!("{codes:?}");
    let grown = resident_kib().zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
    assert!(grown < MAX_GROWTH_KIB, "grown by {grown} KiB over {count} files");
}
