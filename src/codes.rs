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
    "E0101" "E0102" "E0103" "E0104" "E0105" "E0106" "E0107" "E0108" "E0109" "E0110" "E0111" "E0112" "E0113" "E0114"
    "E0115" "E0116" "E0117" "E0118" "E0119" "E0120" "E0121" "E0122" "E0123" "E0124" "E0125" "E0126" "E0127" "E0128"
    "E0129" "E0130" "E0131"
    "E0201" "E0202" "E0203" "E0204" "E0205" "E0206" "E0207" "E0210" "E0211" "E0212" "E0213" "E0214" "E0215" "E0216"
    "E0217"
    "E0301" "E0302" "E0303" "E0304" "E0305" "E0306" "E0310" "E0311" "E0312" "E0313" "E0314" "E0320" "E0321" "E0322"
    "E0323" "E0325" "E0326" "E0327" "E0330" "E0331" "E0332" "E0333" "E0334" "E0335"
    "E0400" "E0401" "E0402" "E0403" "E0404" "E0410" "E0411" "E0412" "E0420" "E0421" "E0430" "E0431"
    "E0432" "E0433" "E0434" "E0435" "E0436" "E0437" "E0438" "E0439" "E0440" "E0441" "E0446" "E0447" "E0448" "E0450" "E0452" "E0453" "E0454" "E0455"
    "E0461" "E0462" "E0463" "E0464"
    "E0501" "E0502" "E0503" "E0504" "E0505" "E0506" "E0507" "E0510" "E0511" "E0512"
    "W0301" "W0302" "W0303" "W0304" "W0305" "W0306" "W0307" "W0308" "W0309" "W0310" "W0311" "W0312" "W0313" "W0314" "W0315"
}

/// What is known of a code, however it is spelled: `E0301`, `e0301`.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.code.eq_ignore_ascii_case(code.trim()))
}

/// The page of a code.
pub fn page(code: &str) -> Option<&'static str> {
    find(code).map(|c| c.page)
}
