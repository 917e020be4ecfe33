//! Equations of Office (OMML) as LaTeX.

use std::fmt::Write as _;

use reading::xml::Node;

/// Equations nest down to this depth; what is nested more deeply is plain text.
const MAX_DEPTH: usize = 100;

/// The LaTeX of an `oMath` element.
pub(crate) fn latex(math: Node<'_>) -> String {
    let mut out = String::new();
    all(&mut out, math, 0);
    tidy(&out)
}

fn tidy(latex: &str) -> String {
    latex.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn all(out: &mut String, node: Node<'_>, depth: usize) {
    if depth > MAX_DEPTH {
        symbols(out, &node.text());
        return;
    }
    for child in node.children() {
        element(out, child, depth + 1);
    }
}

/// The LaTeX of the child `name`, without braces.
fn part(node: Node<'_>, name: &str, depth: usize) -> String {
    let mut out = String::new();
    if let Some(child) = node.child(name) {
        all(&mut out, child, depth);
    }
    tidy(&out)
}

/// The value of a property: `properties/name/@val`.
fn property(node: Node<'_>, properties: &str, name: &str) -> Option<String> {
    node.child(properties)?.val(name).map(|value| value.into_owned())
}

fn element(out: &mut String, node: Node<'_>, depth: usize) {
    let of = |name| part(node, name, depth);
    let put = |out: &mut String, text: std::fmt::Arguments<'_>| {
        let _never = out.write_fmt(text);
    };
    match node.name() {
        "r" => run(out, node),
        "f" => match property(node, "fPr", "type").as_deref() {
            Some("lin" | "skw") => put(out, format_args!("{}/{}", grouped(&of("num")), grouped(&of("den")))),
            Some("noBar") => put(out, format_args!("\\genfrac{{}}{{}}{{0pt}}{{}}{{{}}}{{{}}}", of("num"), of("den"))),
            _ => put(out, format_args!("\\frac{{{}}}{{{}}}", of("num"), of("den"))),
        },
        "sSup" => put(out, format_args!("{}^{{{}}}", base(&of("e")), of("sup"))),
        "sSub" => put(out, format_args!("{}_{{{}}}", base(&of("e")), of("sub"))),
        "sSubSup" => put(out, format_args!("{}_{{{}}}^{{{}}}", base(&of("e")), of("sub"), of("sup"))),
        "sPre" => {
            let mark = |mark, limit: String| if limit.is_empty() { limit } else { format!("{mark}{{{limit}}}") };
            put(out, format_args!("{{}}{}{}{}", mark('_', of("sub")), mark('^', of("sup")), of("e")));
        }
        "rad" => match of("deg") {
            degree if degree.is_empty() => put(out, format_args!("\\sqrt{{{}}}", of("e"))),
            degree => put(out, format_args!("\\sqrt[{degree}]{{{}}}", of("e"))),
        },
        "nary" => nary(out, node, depth),
        "d" => delimited(out, node, depth),
        "func" => put(out, format_args!("{} {}", function(node, depth), of("e"))),
        "limLow" => put(out, format_args!("{}_{{{}}}", function_name(&of("e")), of("lim"))),
        "limUpp" => put(out, format_args!("\\overset{{{}}}{{{}}}", of("lim"), of("e"))),
        "acc" => put(out, format_args!("{}{{{}}}", accent(property(node, "accPr", "chr").as_deref()), of("e"))),
        "bar" => {
            let over = property(node, "barPr", "pos").as_deref() == Some("top");
            put(out, format_args!("\\{}{{{}}}", if over { "overline" } else { "underline" }, of("e")));
        }
        "groupChr" => match property(node, "groupChrPr", "pos").as_deref() {
            Some("top") => put(out, format_args!("\\overbrace{{{}}}", of("e"))),
            _ => put(out, format_args!("\\underbrace{{{}}}", of("e"))),
        },
        "m" => matrix(out, node, depth),
        "eqArr" => {
            // `&` marks where the rows are aligned.
            let rows: Vec<String> = node.all("e").map(|row| inner(row, depth).replace("\\&", "")).collect();
            match rows.as_slice() {
                [row] => out.push_str(row),
                rows => put(out, format_args!("\\begin{{aligned}}{}\\end{{aligned}}", rows.join(" \\\\ "))),
            }
        }
        "borderBox" => put(out, format_args!("\\boxed{{{}}}", of("e"))),
        "del" | "moveFrom" | "rPr" | "ctrlPr" => {}
        name if name.ends_with("Pr") => {}
        _ => all(out, node, depth),
    }
}

fn inner(node: Node<'_>, depth: usize) -> String {
    let mut out = String::new();
    all(&mut out, node, depth);
    tidy(&out)
}

fn run(out: &mut String, run: Node<'_>) {
    let properties = run.child("rPr");
    let is_text = properties.is_some_and(|properties| properties.on("nor").unwrap_or(false));
    for child in run.children() {
        match child.name() {
            "t" if is_text => {
                let _never = write!(out, "\\text{{{}}}", child.text());
            }
            "t" => symbols(out, &child.text()),
            "br" | "tab" => out.push(' '),
            _ => {}
        }
    }
}

/// A base as one group, unless it is one already.
pub(crate) fn base(latex: &str) -> String {
    let one = latex.chars().count() <= 1 || latex.starts_with('\\') && latex[1..].chars().all(char::is_alphabetic);
    if one { latex.to_owned() } else { format!("{{{latex}}}") }
}

fn grouped(latex: &str) -> String {
    if latex.chars().all(char::is_alphanumeric) { latex.to_owned() } else { format!("({latex})") }
}

fn nary(out: &mut String, node: Node<'_>, depth: usize) {
    let sign = property(node, "naryPr", "chr");
    match sign.as_deref() {
        None => out.push_str("\\int"),
        Some(sign) => symbols(out, sign),
    }
    out.truncate(out.trim_end().len());
    for (mark, name) in [('_', "sub"), ('^', "sup")] {
        let limit = part(node, name, depth);
        if !limit.is_empty() {
            let _never = write!(out, "{mark}{{{limit}}}");
        }
    }
    let _never = write!(out, " {}", part(node, "e", depth));
}

fn delimited(out: &mut String, node: Node<'_>, depth: usize) {
    let sign = |name, default: &str| property(node, "dPr", name).unwrap_or_else(|| default.into());
    let (open, close, between) = (sign("begChr", "("), sign("endChr", ")"), sign("sepChr", "|"));
    let parts: Vec<String> = node.all("e").map(|part| inner(part, depth)).collect();
    symbols(out, &open);
    out.push_str(&parts.join(&between));
    symbols(out, &close);
}

fn matrix(out: &mut String, node: Node<'_>, depth: usize) {
    let rows: Vec<String> =
        node.all("mr").map(|row| row.all("e").map(|cell| inner(cell, depth)).collect::<Vec<_>>().join(" & ")).collect();
    let _never = write!(out, "\\begin{{matrix}}{}\\end{{matrix}}", rows.join(" \\\\ "));
}

fn function(node: Node<'_>, depth: usize) -> String {
    function_name(&part(node, "fName", depth))
}

fn function_name(name: &str) -> String {
    const KNOWN: [&str; 27] = [
        "arccos", "arcsin", "arctan", "arg", "cos", "cosh", "cot", "coth", "csc", "det", "dim", "exp", "gcd", "inf",
        "lim", "ln", "log", "max", "min", "Pr", "sec", "sin", "sinh", "sup", "tan", "tanh", "ker",
    ];
    let plain = name.strip_prefix("\\text{").and_then(|rest| rest.strip_suffix('}')).unwrap_or(name);
    let letters = plain.find(|c: char| !c.is_alphabetic()).unwrap_or(plain.len());
    match plain.get(..letters) {
        Some(word) if KNOWN.contains(&word) => format!("\\{plain}"),
        Some(word) if letters > 1 => format!("\\operatorname{{{word}}}{}", &plain[word.len()..]),
        _ => name.to_owned(),
    }
}

fn accent(sign: Option<&str>) -> &'static str {
    match sign.and_then(|sign| sign.chars().next()) {
        None | Some('\u{302}' | '^') => "\\hat",
        Some('\u{303}' | '~') => "\\tilde",
        Some('\u{304}' | '\u{305}' | '¯') => "\\bar",
        Some('\u{307}') => "\\dot",
        Some('\u{308}') => "\\ddot",
        Some('\u{20d7}' | '→') => "\\vec",
        Some('\u{301}') => "\\acute",
        Some('\u{300}') => "\\grave",
        Some('\u{30c}') => "\\check",
        Some('\u{306}') => "\\breve",
        Some(_) => "\\overset{}",
    }
}

/// Adds the characters of a run: letters of mathematical alphabets as plain letters, signs by their names.
pub(crate) fn symbols(out: &mut String, text: &str) {
    for c in text.chars() {
        let c = plain_letter(c);
        if let Some((_, name)) = NAMES.iter().find(|(sign, _)| *sign == c) {
            let _never = write!(out, "\\{name} ");
        } else {
            match c {
                '%' | '#' | '$' | '&' | '_' | '{' | '}' => {
                    out.push('\\');
                    out.push(c);
                }
                // Invisible operators, and the mark of an alignment.
                '−' | '–' => out.push('-'),
                '\u{2061}'..='\u{2064}' | '\u{200b}' => {}
                _ => out.push(c),
            }
        }
    }
}

/// The letter or digit that a character of the block Mathematical Alphanumeric Symbols shows.
fn plain_letter(c: char) -> char {
    let code = u32::from(c);
    let nth = |first: u32, count: u32, signs: &str| {
        let at = (code - first) % count;
        signs.chars().nth(at as usize).unwrap_or(c)
    };
    match code {
        0x210e => 'h',
        0x1d400..=0x1d6a3 => nth(0x1d400, 52, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        0x1d6a8..=0x1d7c9 => nth(0x1d6a8, 58, "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΘΣΤΥΦΧΨΩ∇αβγδεζηθικλμνξοπρςστυφχψω∂ϵϑϰϕϱϖ"),
        0x1d7ce..=0x1d7ff => nth(0x1d7ce, 10, "0123456789"),
        _ => c,
    }
}

const NAMES: [(char, &str); 96] = [
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('ε', "varepsilon"),
    ('ϵ', "epsilon"),
    ('ζ', "zeta"),
    ('η', "eta"),
    ('θ', "theta"),
    ('ϑ', "vartheta"),
    ('ι', "iota"),
    ('κ', "kappa"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('ν', "nu"),
    ('ξ', "xi"),
    ('π', "pi"),
    ('ϖ', "varpi"),
    ('ρ', "rho"),
    ('ϱ', "varrho"),
    ('σ', "sigma"),
    ('ς', "varsigma"),
    ('τ', "tau"),
    ('υ', "upsilon"),
    ('φ', "varphi"),
    ('ϕ', "phi"),
    ('χ', "chi"),
    ('ψ', "psi"),
    ('ω', "omega"),
    ('Γ', "Gamma"),
    ('Δ', "Delta"),
    ('Θ', "Theta"),
    ('Λ', "Lambda"),
    ('Ξ', "Xi"),
    ('Π', "Pi"),
    ('Σ', "Sigma"),
    ('Υ', "Upsilon"),
    ('Φ', "Phi"),
    ('Ψ', "Psi"),
    ('Ω', "Omega"),
    ('∑', "sum"),
    ('∏', "prod"),
    ('∐', "coprod"),
    ('∫', "int"),
    ('∬', "iint"),
    ('∭', "iiint"),
    ('∮', "oint"),
    ('⋃', "bigcup"),
    ('⋂', "bigcap"),
    ('⋀', "bigwedge"),
    ('⋁', "bigvee"),
    ('∯', "oiint"),
    ('∰', "oiiint"),
    ('∂', "partial"),
    ('∇', "nabla"),
    ('∞', "infty"),
    ('±', "pm"),
    ('∓', "mp"),
    ('×', "times"),
    ('÷', "div"),
    ('⋅', "cdot"),
    ('·', "cdot"),
    ('∗', "ast"),
    ('∘', "circ"),
    ('≤', "leq"),
    ('≥', "geq"),
    ('≠', "neq"),
    ('≈', "approx"),
    ('≡', "equiv"),
    ('≅', "cong"),
    ('∼', "sim"),
    ('∝', "propto"),
    ('≪', "ll"),
    ('≫', "gg"),
    ('→', "rightarrow"),
    ('←', "leftarrow"),
    ('↔', "leftrightarrow"),
    ('⇒', "Rightarrow"),
    ('⇐', "Leftarrow"),
    ('⇔', "Leftrightarrow"),
    ('∈', "in"),
    ('∉', "notin"),
    ('⊂', "subset"),
    ('⊆', "subseteq"),
    ('∪', "cup"),
    ('∩', "cap"),
    ('∅', "emptyset"),
    ('∀', "forall"),
    ('∃', "exists"),
    ('¬', "neg"),
    ('∧', "wedge"),
    ('∨', "vee"),
    ('√', "surd"),
    ('…', "ldots"),
    ('⋯', "cdots"),
    ('ℏ', "hbar"),
];

#[cfg(test)]
mod tests {
    use reading::xml::Tree;

    fn latex(inner: &str) -> String {
        super::latex(Tree::parse(&format!("<m:oMath>{inner}</m:oMath>")).unwrap().root())
    }

    fn r(text: &str) -> String {
        format!("<m:r><m:t>{text}</m:t></m:r>")
    }

    #[test]
    fn fractions_powers_and_roots() {
        let power = format!("<m:sSup><m:e>{}</m:e><m:sup>{}</m:sup></m:sSup>", r("𝑥"), r("2"));
        let fraction = format!("<m:f><m:num>{power}</m:num><m:den>{}</m:den></m:f>", r("2θ"));
        assert_eq!(latex(&fraction), "\\frac{x^{2}}{2\\theta}");
        let root = format!("<m:rad><m:radPr/><m:deg/><m:e>{}</m:e></m:rad>", r("b"));
        assert_eq!(latex(&root), "\\sqrt{b}");
    }

    #[test]
    fn sums_brackets_functions_and_matrices() {
        let sum = format!(
            "<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr><m:sub>{}</m:sub><m:sup>{}</m:sup><m:e>{}</m:e></m:nary>",
            r("k=0"),
            r("n"),
            r("k")
        );
        assert_eq!(latex(&sum), "\\sum_{k=0}^{n} k");
        let function = format!("<m:func><m:fName>{}</m:fName><m:e>{}</m:e></m:func>", r("sin"), r("ωt"));
        let bracket = format!("<m:d><m:e>{function}</m:e></m:d>");
        assert_eq!(latex(&bracket), "(\\sin \\omega t)");
        let matrix = format!("<m:m><m:mr><m:e>{}</m:e><m:e>{}</m:e></m:mr></m:m>", r("1"), r("0"));
        assert_eq!(latex(&matrix), "\\begin{matrix}1 & 0\\end{matrix}");
    }

    #[test]
    fn words_are_text_and_hostile_depth_ends() {
        let text = "<m:r><m:rPr><m:nor/></m:rPr><m:t>if a</m:t></m:r>";
        assert_eq!(latex(text), "\\text{if a}");
        let deep = format!("{}{}", "<m:e>".repeat(100_000), r("x"));
        assert_eq!(latex(&deep), "x");
    }
}
