//! The words of the language: one enum, recognised by logos, shown to people by `Display`.
//!
//! In: nothing. Out: [`Token`], the keyword list, and what the lexer asks about a token (does a line go on
//! after it, does it open or close a bracket). Invariant: a token borrows from the source text only.

use std::fmt;
use std::rc::Rc;

use logos::Logos;

use super::literal::{self, Problems};

/// Declares [`Token`]: the fixed words and symbols once, with their text.
macro_rules! tokens {
    (
        keywords { $($(#[$kw_attr:meta])* $kw:ident $kw_text:tt,)* }
        symbols { $($(#[$attr:meta])* $sym:ident $sym_text:tt,)* }
    ) => {
        /// A token. Symbols of other languages (`&&`, `**`) arrive as ours, with a problem noted.
        #[derive(Logos, Clone, Debug, PartialEq)]
        #[logos(extras = Problems)]
        #[logos(skip r"[ \t\r\f\u{feff}]+")]
        #[logos(skip r"#([^#\n][^\n]*)?")]
        #[logos(skip r"###[^\n]*")]
        pub enum Token<'s> {
            $($(#[$kw_attr])* #[token($kw_text)] $kw,)*
            $($(#[$attr])* #[token($sym_text)] $sym,)*

            // Letters beyond ASCII are sorted out by the callback: spelled out here they would make most of the lexer.
            #[regex(r"[A-Za-z_\u{80}-\u{fefe}\u{ff00}-\u{10ffff}][A-Za-z0-9_\u{80}-\u{fefe}\u{ff00}-\u{10ffff}]*", literal::name, priority = 1)]
            Ident(&'s str),

            #[regex(r"[0-9][0-9_]*", literal::int, priority = 5)]
            #[regex(r"0x[0-9a-fA-F_]+", literal::int, priority = 6)]
            #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?[A-Za-z_][A-Za-z0-9_]*", literal::bad_number, priority = 1)]
            Int(i64),

            #[regex(r"[0-9][0-9_]*\.[0-9][0-9_]*([eE][+-]?[0-9][0-9_]*)?", literal::float, priority = 5)]
            #[regex(r"[0-9][0-9_]*[eE][+-]?[0-9][0-9_]*", literal::float, priority = 5)]
            Float(f64),

            #[token("\"", literal::string)]
            #[token("\"\"\"", literal::long_string)]
            #[token("'", literal::single_quoted)]
            Str(Rc<str>),

            /// `f"` (false) or `f"""` (true)
            #[token("f\"", |_| false)]
            #[token("f\"\"\"", |_| true)]
            FormatStart(bool),
            /// Text between the holes, escapes resolved.
            FormatText(Rc<str>),
            /// `{` in an f-string
            HoleOpen,
            /// What follows the `:` in a hole.
            HoleSpec(Rc<str>),
            /// `}` in an f-string
            HoleClose,
            /// The quote that ends an f-string.
            FormatEnd,

            /// A line break or `;` that ends a statement.
            #[token("\n")]
            Newline,
            #[regex(r"##([^#\n][^\n]*)?", |lex| lex.slice())]
            Doc(&'s str),
            /// Stands for a statement that made no sense; the parser's recovery puts it in.
            Invalid,
        }

        /// All keywords, as written.
        pub const KEYWORDS: &[&str] = &[$($kw_text),*];

        impl Token<'_> {
            /// The text of a keyword or symbol.
            pub fn fixed_text(&self) -> Option<&'static str> {
                match self {
                    $(Token::$kw => Some($kw_text),)*
                    $(Token::$sym => Some($sym_text),)*
                    _ => None,
                }
            }

            /// The text of a keyword.
            pub fn keyword(&self) -> Option<&'static str> {
                match self {
                    $(Token::$kw => Some($kw_text),)*
                    _ => None,
                }
            }
        }
    };
}

tokens! {
    keywords {
        Let "let",
        Var "var",
        Fn "fn",
        Struct "struct",
        Impl "impl",
        If "if",
        Else "else",
        While "while",
        For "for",
        In "in",
        Break "break",
        Continue "continue",
        Return "return",
        Import "import",
        From "from",
        As "as",
        Param "param",
        Test "test",
        Try "try",
        Catch "catch",
        #[token("&&", literal::foreign_operator)]
        And "and",
        Or "or",
        Not "not",
        True "true",
        False "false",
        None "none",
        Inout "inout",
        Nograd "nograd",
    }
    symbols {
        LParen "(",
        RParen ")",
        LSquare "[",
        RSquare "]",
        LBrace "{",
        RBrace "}",
        Comma ",",
        Semicolon ";",
        Colon ":",
        Dot ".",
        DotDot "..",
        DotDotEq "..=",
        Ellipsis "...",
        Arrow "->",
        FatArrow "=>",
        Pipe "|>",
        Bar "|",
        BarBar "||",
        Ampersand "&",
        Bang "!",
        Question "?",
        Underscore "_",
        ListWord "list",
        DictWord "dict",
        Plus "+",
        Minus "-",
        Star "*",
        Slash "/",
        SlashSlash "//",
        Percent "%",
        At "@",
        #[token("**", literal::foreign_operator)]
        Caret "^",
        #[token("===", literal::foreign_operator)]
        EqEq "==",
        #[token("!==", literal::foreign_operator)]
        NotEq "!=",
        Less "<",
        LessEq "<=",
        Greater ">",
        GreaterEq ">=",
        #[token(":=", literal::foreign_operator)]
        Eq "=",
        PlusPlus "++",
        PlusEq "+=",
        MinusEq "-=",
        StarEq "*=",
        SlashEq "/=",
        SlashSlashEq "//=",
        PercentEq "%=",
        AtEq "@=",
        #[token("**=", literal::foreign_operator)]
        CaretEq "^=",
    }
}

impl Token<'_> {
    /// True if a line cannot end after this token: a line break there is dropped.
    pub fn continues_line(&self) -> bool {
        use Token::*;
        matches!(
            self,
            And | Or
                | Not
                | In
                | Comma
                | Colon
                | Dot
                | DotDot
                | DotDotEq
                | Arrow
                | FatArrow
                | Pipe
                | Bar
                | BarBar
                | Plus
                | Minus
                | Star
                | Slash
                | SlashSlash
                | Percent
                | At
                | Caret
                | EqEq
                | NotEq
                | Less
                | LessEq
                | Greater
                | GreaterEq
                | Eq
                | PlusEq
                | MinusEq
                | StarEq
                | SlashEq
                | SlashSlashEq
                | PercentEq
                | AtEq
                | CaretEq
                | Ampersand
        )
    }

    /// True if a line that starts with this token goes on from the one before.
    pub fn continues_previous_line(&self) -> bool {
        matches!(self, Token::Dot | Token::Pipe | Token::Else | Token::Catch)
    }

    /// True for tokens that make the tree one level deeper without a bracket.
    pub fn deepens(&self) -> bool {
        use Token::*;
        matches!(
            self,
            And | Or
                | Not
                | In
                | Dot
                | DotDot
                | DotDotEq
                | Arrow
                | Pipe
                | Bar
                | BarBar
                | Plus
                | Minus
                | Star
                | Slash
                | SlashSlash
                | Percent
                | At
                | Caret
                | EqEq
                | NotEq
                | Less
                | LessEq
                | Greater
                | GreaterEq
                | Else
                | Question
                | LParen
                | LSquare
        )
    }

    /// True if an expression may end with this token.
    pub fn ends_operand(&self) -> bool {
        use Token::*;
        matches!(
            self,
            Ident(_)
                | ListWord
                | DictWord
                | Int(_)
                | Float(_)
                | Str(_)
                | FormatEnd
                | True
                | False
                | None
                | RParen
                | RSquare
                | RBrace
        )
    }
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Ident(name) => write!(f, "`{name}`"),
            Token::Int(n) => write!(f, "the number `{n}`"),
            Token::Float(x) => write!(f, "the number `{x:?}`"),
            Token::Str(_) => f.write_str("a string"),
            Token::FormatStart(_) => f.write_str("an f-string"),
            Token::FormatText(_) => f.write_str("text in an f-string"),
            Token::HoleOpen => f.write_str("`{` in an f-string"),
            Token::HoleSpec(_) => f.write_str("the format after `:`"),
            Token::HoleClose => f.write_str("`}` in an f-string"),
            Token::FormatEnd => f.write_str("the end of an f-string"),
            Token::Newline => f.write_str("the end of the line"),
            Token::Doc(_) => f.write_str("a doc comment"),
            Token::Invalid => f.write_str("a broken statement"),
            other => write!(f, "`{}`", other.fixed_text().unwrap_or("?")),
        }
    }
}
