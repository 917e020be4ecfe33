//! Whether what is paid has a price, and whether a cap stops jobs now.

use super::{
    super::check::{Context, Outcome, declare},
    environment::DATABASE_READY,
};
use config::ParserChoice;
use store::{
    active_model::{LOCAL, get_active_model},
    usage::count_blocked_jobs,
};

declare! {
    PRICES = once("money.prices", "what providers charge has a price in the settings.", prices).needs(DATABASE_READY);
    UNPRICED = warning("unpriced",
        "A provider that charges has no price: what documents cost is unknown, and no cap can be held.",
        "Set EMBED_PRICES and LLAMAPARSE_PRICES for the named models; 0 for what costs nothing.");
}

declare! {
    CAPS = once("money.caps", "no cap stops jobs.", caps).needs(DATABASE_READY);
    REACHED = warning("reached",
        "A cap of the day is used up: jobs wait until the day turns (UTC). Search finds what is complete.",
        "Wait; or raise MAX_CENTS_PER_USER_PER_DAY or MAX_CENTS_PER_DAY and start the workers again. `app usage --all` shows who has spent what.").may_pass();
}

async fn prices(context: &Context<'_>) -> Outcome {
    let (money, parser) = (&context.config.money, &context.config.parser);
    let active = get_active_model(&context.conn().await?).await?;
    let model = active.filter(|active| active.provider != LOCAL).map(|active| active.model);
    let is_used = parser.llamaparse_api_key.is_some() && parser.choice != ParserChoice::Local;
    let tier = is_used.then_some(&parser.llamaparse_tier);
    let unpriced: Vec<String> = [
        model.as_ref().filter(|model| money.tokens(model).is_none()).map(|model| format!("EMBED_PRICES lacks {model}")),
        tier.filter(|tier| money.page(tier).is_none()).map(|tier| format!("LLAMAPARSE_PRICES lacks {tier}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !unpriced.is_empty() {
        return Err(UNPRICED.seen(unpriced.join("; ")));
    }
    Ok(match (model, tier) {
        (None, None) => "no provider that charges is used".to_owned(),
        (model, tier) => {
            let named: Vec<String> = model.into_iter().chain(tier.cloned()).collect();
            format!("there is a price for {}", named.join(" and "))
        }
    })
}

async fn caps(context: &Context<'_>) -> Outcome {
    let blocked = count_blocked_jobs(&context.conn().await?).await?;
    if blocked.jobs > 0 {
        let observed = format!(
            "{} jobs of {} users wait for the next day, {} of them because of MAX_CENTS_PER_DAY",
            blocked.jobs, blocked.users, blocked.by_all
        );
        return Err(REACHED.seen(observed));
    }
    let caps = context.config.money.caps();
    Ok(if caps.are_set() { "no job waits for a cap" } else { "there is no cap" }.to_owned())
}
