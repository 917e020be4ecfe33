//! The local embedder on one thread, for scripts/bench_embed.py to time: `embed_bench MODEL_FOLDER TEXTS.json
//! [int8|f32]`.
//!
//! Reads commands from standard input, one a line: `round` embeds all texts and prints their number, `vectors` embeds
//! them and prints the vectors as JSON, `questions` does so with the model's prefix for questions.

use std::{io::BufRead, num::NonZeroUsize, path::PathBuf};

use anyhow::{Context, bail};
use app_embedder::{LocalEmbedder, Precision};
use domain::ports::{EmbedPriority, Embedder};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(texts)) = (arguments.next(), arguments.next()) else {
        bail!("usage: embed_bench MODEL_FOLDER TEXTS.json [int8|f32]");
    };
    let precision = match arguments.next() {
        Some(name) if name.as_os_str() == "f32" => Precision::F32,
        _ => Precision::Int8,
    };
    let texts = std::fs::read(&texts).with_context(|| format!("couldn't read {}", texts.display()))?;
    let texts: Vec<String> = serde_json::from_slice(&texts).context("the texts are not a JSON list of strings")?;
    let embedder = LocalEmbedder::load(&folder, "all-MiniLM-L6-v2", "1", precision, NonZeroUsize::MIN)?;
    for line in std::io::stdin().lock().lines() {
        let command = line?;
        let priority = if command == "questions" { EmbedPriority::Query } else { EmbedPriority::Document };
        let vectors = embedder.embed(texts.clone(), priority).await?;
        match command.as_str() {
            "round" => println!("{}", vectors.len()),
            "vectors" | "questions" => println!("{}", serde_json::to_string(&vectors)?),
            other => bail!("unknown command {other}"),
        }
    }
    Ok(())
}
