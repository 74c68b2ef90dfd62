//! Every code a diagnostic may carry, with its page in `docs/errors/`.
//!
//! A page starts with `# CODE: title`, says what is meant, then shows a wrong program and a right one.
//! `tests/codes.rs` holds this table, the pages and the codes in `src/` together.

/// A code and what is known of it.
pub struct Code {
    pub code: &'static str,
    /// The page as it stands in `docs/errors/`, in Markdown.
    pub page: &'static str,
}

impl Code {
    /// The headline of the page without the code.
    pub fn title(&self) -> &'static str {
        let head = self.page.lines().next().unwrap_or("");
        head.split_once(": ").map_or(head, |(_, title)| title)
    }
}

macro_rules! codes {
    ($($code:literal)*) => {
        /// Sorted by code.
        pub static CODES: &[Code] = &[$(Code {
            code: $code,
            page: include_str!(concat!("../docs/errors/", $code, ".md")),
        },)*];
    };
}

codes! {
    "E0501" "E0502" "E0503" "E0504"
}

/// What is known of a code, however it is spelled: `E0301`, `e0301`.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.code.eq_ignore_ascii_case(code.trim()))
}

/// The page of a code.
pub fn page(code: &str) -> Option<&'static str> {
    find(code).map(|c| c.page)
}
