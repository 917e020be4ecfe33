//! The tokenizer of all-MiniLM-L6-v2, by which chunks are measured: BERT's for English, lower case.

use tokenizers::{
    AddedToken, Tokenizer, models::wordpiece::WordPiece, normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer, processors::bert::BertProcessing,
};

use crate::tokens::refused;
use domain::Failure;

/// The pieces in the order of their ids, one a line (Apache-2.0: NOTICE).
const VOCABULARY: &str = include_str!("vocabulary.txt");
const START: (&str, u32) = ("[CLS]", 101);
const END: (&str, u32) = ("[SEP]", 102);

/// Makes the tokenizer.
pub(crate) fn tokenizer() -> Result<Tokenizer, Failure> {
    let pieces: serde_json::Map<_, _> =
        VOCABULARY.lines().zip(0_u32..).map(|(piece, id)| (piece.to_owned(), id.into())).collect();
    let model = serde_json::json!({
        "type": "WordPiece", "vocab": pieces, "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    });
    let model: WordPiece = serde_json::from_str(&model.to_string()).map_err(|error| refused(&error.into()))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, true))).map_err(|error| refused(&error))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let [end, start] = [END, START].map(|(piece, id)| (piece.to_owned(), id));
    tokenizer.with_post_processor(Some(BertProcessing::new(end, start)));
    let special = ["[PAD]", "[UNK]", START.0, END.0, "[MASK]"].map(|piece| AddedToken::from(piece, true));
    tokenizer.add_special_tokens(special).map_err(|error| refused(&error))?;
    Ok(tokenizer)
}
