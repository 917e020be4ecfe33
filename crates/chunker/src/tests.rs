//! Tests of the whole chunker: its guarantees, on difficult texts, and the chunks of small texts.

use tokenizers::Tokenizer;

use super::*;
use domain::{Code, ErrorClass, layout::Layout};

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const MARKS: &str = "|#-*_`~>.,:;!?()[]<>/\\=+•&\"'";

/// A tokenizer like the real model's (BERT's), whose vocabulary is a few syllables and every letter, so that a cut inside a
/// word changes the number of tokens.
fn bert() -> Tokenizer {
    let syllables = ["the", "plan", "cover", "##ed", "##s", "un", "##er", "##lan", "pay", "##ov", "sec", "##tion"];
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).to_vec();
    words.extend(LETTERS.chars().flat_map(|c| [c.to_string(), format!("##{c}")]));
    words.extend(MARKS.chars().map(String::from));
    words.extend(syllables.map(str::to_owned));
    words.dedup();
    let vocab: serde_json::Map<_, _> =
        words.into_iter().zip(0..).map(|(word, id): (_, u32)| (word, id.into())).collect();
    let special = |id, content| serde_json::json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
    read(serde_json::json!({
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
    }))
}

/// A tokenizer that joins a word with the space before it.
fn byte_level() -> Tokenizer {
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
    let mut words: Vec<String> = alphabet.into_iter().map(String::from).collect();
    words.sort();
    words.extend(["Ġt".to_owned(), "he".to_owned(), "Ġthe".to_owned()]);
    let vocab: serde_json::Map<_, _> =
        words.into_iter().zip(0..).map(|(word, id): (_, u32)| (word, id.into())).collect();
    read(serde_json::json!({
        "version": "1.0", "added_tokens": [],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": [["Ġ", "t"], ["h", "e"], ["Ġt", "he"]]},
    }))
}

fn read(json: serde_json::Value) -> Tokenizer {
    Tokenizer::from_bytes(json.to_string()).unwrap()
}

/// The number of tokens by the model's tokenizer.
fn tokens(tokenizer: &Tokenizer, chunk: &Chunk) -> i32 {
    let mut tokenizer = tokenizer.clone();
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).unwrap();
    tokenizer.encode(Chunk::embed_text(&chunk.heading, &chunk.text), false).unwrap().len().try_into().unwrap()
}

fn cut(markdown: &str, max_tokens: usize) -> Vec<Chunk> {
    MarkdownChunker::with_tokenizer(bert(), max_tokens).chunk(markdown, &Layout::default()).unwrap()
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Chunks as short lines: pages, heading path, passage.
fn outline(markdown: &str, max_tokens: usize) -> Vec<String> {
    let line = |chunk: Chunk| {
        let pages = chunk.page_first.map_or(String::new(), |first| format!("{first}-{} ", chunk.page_last.unwrap()));
        format!("{pages}[{}] {}", chunk.heading, chunk.text)
    };
    cut(markdown, max_tokens).into_iter().map(line).collect()
}

/// Checks the guarantees for every text, tokenizer and budget.
fn assert_sound(tokenizer: &Tokenizer, markdown: &str, max_tokens: usize) {
    let chunker = MarkdownChunker::with_tokenizer(tokenizer.clone(), max_tokens);
    let budget = max_tokens - chunker.counter.special_tokens();
    let chunks = chunker.chunk(markdown, &Layout::default()).unwrap();
    for chunk in &chunks {
        assert!(!chunk.text.trim().is_empty());
        assert_eq!(chunk.token_count, tokens(tokenizer, chunk), "{chunk:?}");
        assert!(chunk.token_count <= budget.try_into().unwrap(), "{} tokens of {budget}: {chunk:?}", chunk.token_count);
        assert!(chunk.text.len() <= 16 * budget + 64, "{} bytes", chunk.text.len());
        assert!(chunk.heading.chars().count() <= 200);
        assert!(chunk.page_first <= chunk.page_last);
    }
    assert_eq!(chunks, chunker.chunk(markdown, &Layout::default()).unwrap(), "the same text must give the same chunks");

    // The text keeps every letter and digit. Without repeated table heads, the passages together are the text.
    let source = Source::new(markdown, &[]);
    let unmarked =
        markdown.lines().filter(|line| ![1, 2].map(domain::ports::page_marker).contains(&line.trim().to_owned()));
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    assert_eq!(letters(&source.text), letters(&unmarked.collect::<Vec<_>>().join("\n")));
    let outline = Outline::parse(&source.text);
    let tokens = TextTokens::new(&chunker.counter, &source.text).unwrap();
    let titles = Titles::new(&outline.headings, &tokens, budget).unwrap();
    let packer =
        Packer { text: &source.text, outline: &outline, tokens: &tokens, titles: &titles, sizes: chunker.sizes };
    let passages: String = packer
        .pack()
        .unwrap()
        .into_iter()
        .map(|piece| visible(&packer.passage(&Piece { table_head: None, ..piece })))
        .collect();
    assert_eq!(passages, visible(&source.text));
}

#[test]
fn an_empty_text_is_an_error_of_the_document() {
    for markdown in ["", " \n\t\n", "<!-- page 1 -->\n\n<!-- page 2 -->\n"] {
        let failure = MarkdownChunker::with_tokenizer(bert(), 256).chunk(markdown, &Layout::default()).unwrap_err();
        assert_eq!((failure.code, failure.class), (Code::TextEmpty, ErrorClass::Document));
    }
}

#[test]
fn a_small_text_is_one_chunk_under_its_heading() {
    assert_eq!(outline("# The *plan*\n\nIt pays.", 256), ["[The plan] # The *plan*\n\nIt pays."]);
    assert_eq!(outline("It pays.", 256), ["[] It pays."]);
}

#[test]
fn a_heading_begins_a_chunk_and_the_path_names_the_headings_above() {
    let body = "the plan pays. ".repeat(8);
    let markdown = format!("# One\n\n{body}\n\n## Two\n\n{body}\n\n# Three\n\n{body}");
    let found: Vec<String> = cut(&markdown, 64).into_iter().map(|chunk| chunk.heading).collect();
    assert_eq!(found, ["One", "One > Two", "Three"]);
}

#[test]
fn no_chunk_has_only_headings() {
    let row = "the plan pays the plan pays ".repeat(9);
    for body in [
        row.clone(),
        format!("| a | b |\n| --- | --- |\n| {row} | x |"),
        format!("- {row}"),
        format!("```\n{row}\n```"),
    ] {
        for chunk in cut(&format!("# One\n\n## Two\n\n### Three\n\n{body}\n\n## Four\n\n{body}"), 64) {
            assert!(chunk.text.lines().any(|line| !line.starts_with('#') && !line.is_empty()), "{chunk:?}");
        }
    }
}

#[test]
fn only_tiny_sections_under_one_heading_share_a_chunk() {
    let markdown = "# A\n\n## B\n\none\n\n## C\n\ntwo\n\n# D\n\n## E\n\nthree";
    assert_eq!(outline(markdown, 256), ["[A] # A\n\n## B\n\none\n\n## C\n\ntwo", "[D > E] # D\n\n## E\n\nthree"]);
}

#[test]
fn a_long_paragraph_is_cut_between_sentences() {
    let sentence = "The plan pays the cover, and the plan pays. ";
    for chunk in cut(&sentence.repeat(30), 64) {
        assert!(chunk.text.starts_with("The") && chunk.text.ends_with("pays."), "{chunk:?}");
    }
}

#[test]
fn rows_are_not_cut_and_later_chunks_repeat_the_tables_head() {
    let rows: String = (0..40).map(|n| format!("| plan {n} | pays {n} |\n")).collect();
    let chunks = cut(&format!("| name | cost |\n| --- | --- |\n{rows}"), 128);
    assert!(chunks.len() > 2);
    for chunk in &chunks {
        let lines: Vec<&str> = chunk.text.lines().collect();
        assert_eq!(lines[..2], ["| name | cost |", "| --- | --- |"]);
        assert!(lines[2..].iter().all(|line| line.starts_with("| plan") && line.ends_with('|')), "{chunk:?}");
    }
}

#[test]
fn a_row_over_the_budget_is_cut_between_cells() {
    let cell = "the plan pays ".repeat(12);
    let chunks = cut(&format!("| a | b | c |\n|---|---|---|\n| {cell} | {cell} | {cell} |"), 64);
    assert_eq!(chunks.len(), 3);
    assert!(chunks[1].text.starts_with("the plan") && chunks[1].text.ends_with('|'), "{chunks:?}");
}

#[test]
fn a_chunk_has_the_pages_of_its_text() {
    let markdown =
        "<!-- page 1 -->\n\n# A\n\nthe plan\n\n<!-- page 2 -->\n\npays half.\n\n<!-- page 3 -->\n\n# B\n\nthe cover";
    assert_eq!(outline(markdown, 256), ["1-3 [] # A\n\nthe plan\npays half.\n\n# B\n\nthe cover"]);
    let long = markdown.replace("half.", &"half. the plan ".repeat(8));
    let pages: Vec<_> = cut(&long, 64).iter().map(|chunk| (chunk.page_first, chunk.page_last)).collect();
    assert_eq!(pages, [(Some(1), Some(2)), (Some(2), Some(3))]);
}

#[test]
fn the_dots_of_a_table_of_contents_cost_few_tokens() {
    let contents: String = (1..40).map(|n| format!("Section {n} {} {n}\n\n", ". ".repeat(60))).collect();
    let chunks = cut(&contents, 256);
    assert!(chunks.len() <= 5, "{}", chunks.len());
    assert!(chunks[0].text.starts_with("Section 1 . . .  1\n"));
}

#[test]
fn long_headings_leave_room_for_the_text() {
    let title = "the plan ".repeat(3000);
    assert_sound(&bert(), &format!("# {title}\n\n## {title}\n\n{}", "It pays. ".repeat(100)), 64);
    let chunks = cut(&format!("# {title}\n\n## Short\n\n{}", "It pays. ".repeat(100)), 128);
    assert_eq!(chunks.last().unwrap().heading, "Short");
    assert!(cut(&format!("# {title}\n\nIt pays."), 128)[0].heading.ends_with('…'));
}

#[test]
fn no_text_is_over_the_budget_or_loses_a_letter() {
    let word = |part: &str| part.repeat(10_000 / part.chars().count());
    let texts = [
        word("a"),
        word("unplancovered"),
        word("QUJD+/"),
        word("中"),
        word("契約は。"),
        word("한국어"),
        word("é\u{301}\u{302}"),
        word("👩\u{200d}👩\u{200d}👧"),
        word("क्ष"),
        word("عقد "),
        word("\u{feff}a"),
        word("a\u{c}"),
        word("[SEP]"),
        format!("a{}b", " ".repeat(50_000)),
        format!("| a |\n|---|\n| {} |", word("the plan ")),
        format!("# {}\n\nx", word("b")),
        word("# a\n"),
        word("- a\n"),
        word(">"),
        word("|"),
        word("| a "),
        format!("```\n{}\n", word("let a = 1;\n")),
        word("[a]: /u\n\n"),
        "a\r\n\r\nb\rc\u{2028}d\0e".to_owned(),
    ];
    for text in &texts {
        assert_sound(&bert(), text, 64);
    }
    for text in &texts {
        assert_sound(&byte_level(), &text.chars().take(4000).collect::<String>(), 64);
    }
}

#[test]
fn random_markdown_keeps_the_guarantees() {
    let parts = [
        "# The plan\n\n",
        "## Cover *and* pay\n",
        "###### deep\n\n",
        "Title\n=====\n\n",
        "<!-- page 1 -->\n\n",
        "\n<!-- page 2 -->\n",
        "the plan covers. Sections pay! ",
        "un plan\n",
        "| a | b |\n| --- | --- |\n",
        "| the plan | pays |\n",
        "- item\n",
        "  - nested item\n",
        "1. first\n",
        "> quoted\n",
        "```rust\n",
        "```\n",
        "    indented code\n",
        "\n\n",
        "契約は保険です。",
        "Ünïcödé ",
        "👨‍👩‍👧 ",
        "<div>\n",
        "[link](http://a.b/c_d)",
        "......... 7\n",
        "-------\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "\t",
        "\\",
        "|",
    ];
    let tokenizers = [bert(), byte_level()];
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..300 {
        let markdown: String =
            (0..random.usize(1..60)).map(|_| parts[random.usize(..parts.len())].repeat(random.usize(1..4))).collect();
        if !Source::new(&markdown, &[]).text.trim().is_empty() {
            assert_sound(&tokenizers[round % 2], &markdown, random.usize(18..130));
        }
    }
}

#[test]
fn the_time_grows_linearly_with_the_text() {
    // Quadratic work would take minutes for any of these.
    let lines = ["word word\n", "- a\n", "# a\n\n", "| a | b |\n", ">", "word ", "x", "[", "**a *", "中"];
    for line in lines {
        let chunks = cut(&line.repeat(200_000 / line.len()), 256);
        assert!(!chunks.is_empty());
    }
}

/// Compares the vocabulary in the program with the model's own file.
#[test]
fn the_vocabulary_is_that_of_minilm() {
    let folder =
        std::env::var("APP_MODEL_DIR").expect("APP_MODEL_DIR names the all-MiniLM-L6-v2 folder; scripts/test sets it");
    let mut theirs = Tokenizer::from_file(std::path::Path::new(&folder).join("tokenizer.json")).unwrap();
    theirs.with_padding(None).with_truncation(None).unwrap();
    let ours = vocabulary::tokenizer().unwrap();
    assert_eq!(ours.get_vocab(true), theirs.get_vocab(true));
    for text in
        ["", "Der Versicherungsschutz umfasst 12 Monate – naïve café?", "[CLS] 日本語 ไทย \u{ad}x\u{200b}y [MASK]"]
    {
        assert_eq!(ours.encode(text, true).unwrap().get_ids(), theirs.encode(text, true).unwrap().get_ids(), "{text}");
    }
}

#[test]
fn a_wider_window_gives_the_same_chunks_and_a_narrower_one_smaller_chunks() {
    let markdown = "Some words of a paragraph stand here, and a few more.\n\n".repeat(60);
    let chunks = |max_tokens| MarkdownChunker::new(max_tokens).unwrap().chunk(&markdown, &Layout::default()).unwrap();
    assert_eq!(chunks(512), chunks(256));
    assert!(chunks(128).iter().all(|chunk| chunk.token_count <= 126));
    assert!(chunks(256).iter().any(|chunk| chunk.token_count > 126));
}
