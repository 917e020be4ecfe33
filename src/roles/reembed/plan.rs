//! `app reembed plan`: what a change takes, before anything is done.

use std::{process::ExitCode, time::Instant};

use super::{Reembed, describe, provider_name};
use crate::cli::PlanArgs;
use client::render;
use domain::{
    money::Cents,
    ports::{Chunk, EmbedPriority, Embedder},
};
use store::model_switch::{ReembedPlan, plan_reembedding, sample_texts};

/// Passages that are embedded to measure a model of this machine; a second or two.
const SAMPLE: i64 = 32;

impl Reembed {
    /// Prints passages, texts, tokens, money and time.
    pub(super) async fn plan(&self, args: &PlanArgs) -> anyhow::Result<ExitCode> {
        let active = self.active().await?;
        let embedder = self.new_model(&args.model).await?;
        let plan = plan_reembedding(&self.db, embedder.model()).await?;
        let price = args.cents_per_million_tokens.or_else(|| self.ctx.config.money.tokens(&embedder.model().name));
        let spared = plan.lacking - plan.texts;
        let lines = [
            ("from", describe(&active.embed_model(), &active.provider)),
            ("to", describe(embedder.model(), provider_name(embedder.as_ref()))),
            ("passages", format!("{}, of which {} lack a vector of the new model", plan.passages, plan.lacking)),
            ("texts", format!("{} to embed; {spared} more are equal to another of the same user", plan.texts)),
            ("tokens", plan.tokens.to_string()),
            ("money", money(embedder.as_ref(), plan, price)),
            ("time", self.time(embedder.as_ref(), plan, args).await?),
        ];
        let text: String = lines.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect();
        render::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn time(&self, embedder: &dyn Embedder, plan: ReembedPlan, args: &PlanArgs) -> anyhow::Result<String> {
        let mut rates: Vec<(f64, String)> = Vec::new();
        if let Some(limit) = args.passages_per_minute {
            rates.push((f64::from(limit), format!("{limit} passages a minute, as asked")));
        }
        if plan.texts > 0 && embedder.service().is_some() {
            let settings = &self.ctx.config.embedder;
            let tokens_of_one = plan.tokens as f64 / plan.texts as f64;
            let (tokens, requests) = (settings.tokens_per_minute, settings.requests_per_minute);
            if tokens > 0 {
                rates.push((f64::from(tokens) / tokens_of_one, format!("EMBED_TOKENS_PER_MINUTE={tokens}")));
            }
            if requests > 0 {
                let inputs = embedder.service().map_or(1, |service| service.bounds().inputs);
                rates.push((f64::from(requests) * inputs as f64, format!("EMBED_REQUESTS_PER_MINUTE={requests}")));
            }
        } else if plan.texts > 0
            && let Some(rate) = self.measure(embedder).await?
        {
            rates.push((rate, format!("{rate:.0} passages a minute, as measured on this machine")));
        }
        Ok(match rates.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)) {
            _ if plan.texts == 0 => "none: nothing is to embed".to_owned(),
            Some((rate, why)) => format!("about {:.1} hours at {why}", plan.texts as f64 / rate / 60.0),
            None => "as fast as the service answers: `app reembed status` says it once it runs".to_owned(),
        })
    }

    /// Passages a minute of a model of this machine, by some that are stored; `None`: there is none.
    async fn measure(&self, embedder: &dyn Embedder) -> anyhow::Result<Option<f64>> {
        let sample = sample_texts(&self.db, SAMPLE).await?;
        if sample.is_empty() {
            return Ok(None);
        }
        let texts: Vec<String> = sample.iter().map(|(heading, text)| Chunk::embed_text(heading, text)).collect();
        let (count, began) = (texts.len(), Instant::now());
        embedder.embed(texts, EmbedPriority::Document).await?;
        Ok(Some(60.0 * count as f64 / began.elapsed().as_secs_f64().max(1e-3)))
    }
}

fn money(embedder: &dyn Embedder, plan: ReembedPlan, price: Option<Cents>) -> String {
    match price {
        _ if embedder.service().is_none() => "none: your machines compute the vectors".to_owned(),
        Some(price) => format!("{} cents at {price} cents for a million tokens", price.of_tokens(plan.tokens)),
        None => "not known: EMBED_PRICES has no price for it; give one by --cents-per-million-tokens".to_owned(),
    }
}
