//! `db.packed`: whether the packed vectors, by which searches find passages, are those of the stored ones.

use super::{
    super::check::{Context, Outcome, declare},
    schema::MIGRATIONS,
};
use domain::ports::EmbedModel;
use store::{active_model::get_active_model, packed::sample_vectors, search::list_packed};
use vectors::{Nearest, Probe};

/// Vectors looked at, each of another document.
const SAMPLE: i64 = 20;
/// The estimate of a cosine is good to a few hundredths.
const MOST_ERROR: f32 = 0.15;

declare! {
    PACKED = once("db.packed", "packed vectors agree with the stored ones, by sample.", packed).needs(&[&MIGRATIONS]);
    DISAGREES = error("disagrees",
        "Packed vectors are not those of the passages: searches by meaning miss passages, and name wrong ones.",
        "Empty the table search_vectors (TRUNCATE): housekeeping packs them again, and searches compare the stored ones meanwhile.");
}

async fn packed(context: &Context<'_>) -> Outcome {
    let conn = context.conn().await?;
    let Some(active) = get_active_model(&conn).await? else { return Ok("no vectors yet".to_owned()) };
    let dim = usize::try_from(active.vector_dim).unwrap_or(0);
    let model = EmbedModel { name: active.model, version: active.version, dim, max_tokens: 0 };
    let sample = sample_vectors(&conn, &model, SAMPLE).await?;
    let mut wrong = Vec::new();
    for stored in &sample {
        let packed = list_packed(&conn, &model, &[stored.document_no]).await?;
        // The document may have been indexed again meanwhile.
        let Some((number, packed)) = packed.first() else { continue };
        let cosine = own_cosine(&stored.vector, (*number, stored.ord), packed);
        if cosine.is_none_or(|cosine| (cosine - 1.0).abs() > MOST_ERROR || cosine.is_nan()) {
            let cosine = cosine.map_or_else(|| "not there".to_owned(), |cosine| format!("{cosine:.2}"));
            wrong.push(format!("passage {} of {} ({cosine})", stored.ord, stored.document_id));
        }
    }
    match wrong.first() {
        None => Ok(format!("{} stored vectors are packed as they are", sample.len())),
        Some(first) => {
            let observed =
                format!("{} of {} differ from their packed ones, such as that of {first}", wrong.len(), sample.len());
            Err(DISAGREES.seen(observed).expecting("a cosine of 1"))
        }
    }
}

/// The estimate of a vector's cosine with itself, by what is packed at its place.
fn own_cosine(vector: &[f32], (number, ord): (i32, i32), packed: &[u8]) -> Option<f32> {
    let probe = Probe::new(vector);
    let count = probe.count(packed);
    if count == 0 {
        return None;
    }
    let mut all = Nearest::new(count);
    probe.scan(number, packed, 0.0, &mut all);
    all.into_vec().into_iter().find(|near| near.ord == ord).map(|near| near.cosine)
}
