//! How text is cut into words before byte-pair merges, by the name that a GGUF file gives in `tokenizer.ggml.pre`.
//!
//! Each name stands for patterns that are applied one after another: a match becomes a piece of its own, and so does what lies between
//! matches. The patterns are those of llama.cpp, so ids are too.

/// How words are cut, and whether a word that is a token as a whole skips the merges.
pub(super) struct Rules {
    pub(super) patterns: &'static [&'static str],
    pub(super) ignore_merges: bool,
    /// Whether a beginning-of-text token is added where the file does not say.
    pub(super) add_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The rules of a name; `None` if the name is not supported.
pub(super) fn rules(name: &str) -> Option<Rules> {
    let rules = |patterns, ignore_merges, add_bos| Some(Rules { patterns, ignore_merges, add_bos });
    match name {
        "default" => rules(&[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], false, false),
        "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "gigachat" | "mpt" | "olmo" | "jais" | "roberta-bpe" => rules(&[GPT2], false, false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => rules(&[r"\p{N}", GPT2], false, false),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2" => rules(&[LLAMA3], true, true),
        "smaug-bpe" | "dbrx" => rules(&[LLAMA3], false, false),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" | "hunyuan" => rules(&[QWEN2], false, false),
        "tekken" => rules(&[TEKKEN], true, true),
        _ => None,
    }
}

/// The names that are supported, for a message.
pub(super) const SUPPORTED: &str =
    "default, gpt-2, smollm, starcoder, llama-bpe, qwen2, deepseek-r1-qwen, tekken and those with the same rules";
