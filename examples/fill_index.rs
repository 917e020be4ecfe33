//! Fills the search index of the database of DATABASE_URL at once, as housekeeping does little by little, for
//! scripts/bench_scale.py; prints how long it took.

use std::time::{Duration, Instant};

use anyhow::Context;
use housekeeping::words::{fill, pack};
use pg::{ConnectTarget, Db, PoolOptions, url::DatabaseUrl};

const WHOLE_DAY: Duration = Duration::from_secs(86_400);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let target = ConnectTarget::new(DatabaseUrl::parse(&url)?, Duration::from_secs(10))?;
    let db = Db::open(target, PoolOptions::default())?;
    let began = Instant::now();
    let filled = fill(&db, WHOLE_DAY).await?;
    let packed = pack(&db, WHOLE_DAY).await?;
    println!("{filled} documents indexed, {packed} packed, in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}
