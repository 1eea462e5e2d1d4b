//! Rows of an instruction, perhaps with an input, and an output, as the Alpaca data set introduced them (Taori et al. 2023).
//!
//! Such a row becomes a prompt and a completion. The prompt's layout is this, in which the input's section is left out where the input
//! is missing or empty:
//!
//! ```text
//! The task is given under Instruction, what it applies to under Input. Answer it under Response.
//!
//! ### Instruction:
//! INSTRUCTION
//!
//! ### Input:
//! INPUT
//!
//! ### Response:
//! OUTPUT
//! ```
//!
//! A caller of the tuned model writes the same text, up to and with the line end after `### Response:`.

/// The prompt of a row: everything before its output.
pub(super) fn prompt(instruction: &str, input: Option<&str>) -> String {
    match input.filter(|input| !input.trim().is_empty()) {
        Some(input) => format!(
            "The task is given under Instruction, what it applies to under Input. Answer it under Response.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
        ),
        None => {
            format!("The task is given under Instruction. Answer it under Response.\n\n### Instruction:\n{instruction}\n\n### Response:\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::prompt;

    #[test]
    fn an_empty_input_has_no_section() {
        assert!(prompt("Add.", Some("1 2")).ends_with("### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n"));
        for input in [None, Some(""), Some(" ")] {
            assert!(prompt("Add.", input).ends_with("Instruction:\nAdd.\n\n### Response:\n"));
            assert!(!prompt("Add.", input).contains("Input"));
        }
    }
}
