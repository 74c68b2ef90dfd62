//! What can be wrong with a text, as data, and how each mistake is told.
//!
//! In: spans and facts from lexer, parser and `validate`. Out: a [`Diagnostic`]. Invariant: one code per kind of
//! mistake; the span of a problem is where it shows, and problems are sorted by it.

use super::hints;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// A mistake in a text.
#[derive(Clone, Debug, PartialEq)]
pub enum SyntaxError {
    /// A token that does not fit; `expected` is in words, and empty if the list would be long.
    Unexpected {
        found: String,
        expected: String,
        hint: Option<String>,
        span: Span,
    },
    /// The text ends within a statement; more of it could make it right.
    UnexpectedEnd {
        expected: String,
        span: Span,
    },
    /// `open` lacks its partner; that shows at `at`. At the end of the text, more of it could make it right.
    Unclosed {
        bracket: &'static str,
        open: Span,
        at: Span,
        at_end: bool,
    },
    /// A closing bracket that nothing opened; `open` is the innermost bracket that is open there.
    Unopened {
        bracket: &'static str,
        span: Span,
        open: Option<(&'static str, Span)>,
    },
    /// If `triple`, more text could make it right.
    UnterminatedString {
        span: Span,
        triple: bool,
    },
    /// `text` is the escape as written.
    BadEscape {
        text: String,
        span: Span,
    },
    NumberTooLarge {
        text: String,
        span: Span,
    },
    /// Letters stuck to digits.
    BadNumber {
        text: String,
        span: Span,
    },
    /// A character that is in no token.
    StrayCharacter {
        found: String,
        span: Span,
    },
    /// `&&`, `**`, ...: an operator of other languages.
    ForeignOperator {
        found: String,
        span: Span,
    },
    /// `'...'` around `text`
    SingleQuotes {
        text: String,
        /// After an `f`.
        is_format: bool,
        span: Span,
    },
    /// `def`, `elif`, ...: a word of other languages at `span`, which made the parser stop.
    ForeignWord {
        word: String,
        instead: &'static str,
        span: Span,
    },
    /// Too many brackets in brackets, or too long a row of operators.
    TooDeep {
        span: Span,
        brackets: bool,
    },
    /// A `}` alone in an f-string.
    LoneBrace {
        span: Span,
    },
    /// `{}` in an f-string.
    EmptyHole {
        span: Span,
    },
    /// `if`, `while`, `for`, `fn`, ... (`word`) without the `{` of its body, which was expected at `span`.
    MissingBody {
        word: &'static str,
        found: String,
        head: Span,
        span: Span,
    },
    /// `=` where a condition is due.
    AssignInCondition {
        word: &'static str,
        span: Span,
        head: Span,
    },
    /// Two statements on one line.
    SameLine {
        found: String,
        first: Span,
        span: Span,
    },
    /// `x[]`
    EmptyIndex {
        span: Span,
    },
    /// `import "./my-file.dl"`, whose stem is not a name.
    UnnamedImport {
        stem: String,
        span: Span,
    },
    /// The left side of `=` is no variable, index or field.
    NotAPlace {
        span: Span,
    },
    /// `+=` on a tuple.
    UpdateOfTuple {
        op: &'static str,
        span: Span,
    },
    /// `&` on something that is no variable, index or field.
    InoutNotAPlace {
        span: Span,
    },
    /// `break` or `continue`
    OutsideLoop {
        word: &'static str,
        span: Span,
    },
    ReturnOutside {
        span: Span,
    },
    /// `param`, `test`, `import`, `struct`, `impl` within a block.
    NotTopLevel {
        word: &'static str,
        span: Span,
    },
    /// `named` stands before it.
    PositionalAfterNamed {
        span: Span,
        named: Span,
    },
    /// `what` is "parameter", "field", "argument", "method", "name".
    Duplicate {
        what: &'static str,
        name: String,
        span: Span,
        first: Span,
    },
    /// `default` is the parameter before it that has one.
    RequiredAfterDefault {
        name: String,
        span: Span,
        default: Span,
    },
    /// A second `...` in an index, or one in a type that is not first.
    MisplacedEllipsis {
        span: Span,
        first: Option<Span>,
    },
    /// A pattern where a name is due: a parameter of `fn`.
    PatternParameter {
        span: Span,
    },
}

impl SyntaxError {
    /// Where it shows.
    pub fn span(&self) -> Span {
        use SyntaxError::*;
        match self {
            Unclosed { open, at, at_end, .. } => {
                if *at_end {
                    *open
                } else {
                    *at
                }
            }
            Unexpected { span, .. }
            | UnexpectedEnd { span, .. }
            | Unopened { span, .. }
            | UnterminatedString { span, .. }
            | BadEscape { span, .. }
            | NumberTooLarge { span, .. }
            | BadNumber { span, .. }
            | StrayCharacter { span, .. }
            | ForeignOperator { span, .. }
            | SingleQuotes { span, .. }
            | ForeignWord { span, .. }
            | TooDeep { span, .. }
            | LoneBrace { span }
            | EmptyHole { span }
            | MissingBody { span, .. }
            | AssignInCondition { span, .. }
            | SameLine { span, .. }
            | EmptyIndex { span }
            | UnnamedImport { span, .. }
            | NotAPlace { span }
            | UpdateOfTuple { span, .. }
            | InoutNotAPlace { span }
            | OutsideLoop { span, .. }
            | ReturnOutside { span }
            | NotTopLevel { span, .. }
            | PositionalAfterNamed { span, .. }
            | Duplicate { span, .. }
            | RequiredAfterDefault { span, .. }
            | MisplacedEllipsis { span, .. }
            | PatternParameter { span } => *span,
        }
    }

    /// True if more text could make it right: a REPL asks for another line.
    pub fn needs_more_input(&self) -> bool {
        use SyntaxError::*;
        matches!(self, UnexpectedEnd { .. } | Unclosed { at_end: true, .. } | UnterminatedString { triple: true, .. })
    }

    /// The code, which `dlang explain` expands.
    pub fn code(&self) -> &'static str {
        use SyntaxError::*;
        match self {
            Unexpected { .. } => "E0101",
            UnexpectedEnd { .. } => "E0102",
            Unclosed { .. } => "E0103",
            Unopened { .. } => "E0104",
            UnterminatedString { .. } => "E0105",
            BadEscape { .. } => "E0106",
            NumberTooLarge { .. } => "E0107",
            BadNumber { .. } => "E0108",
            StrayCharacter { .. } => "E0109",
            ForeignOperator { .. } => "E0110",
            SingleQuotes { .. } => "E0111",
            ForeignWord { .. } => "E0112",
            TooDeep { .. } => "E0113",
            LoneBrace { .. } => "E0114",
            EmptyHole { .. } => "E0115",
            MissingBody { .. } => "E0116",
            AssignInCondition { .. } => "E0117",
            SameLine { .. } => "E0118",
            EmptyIndex { .. } => "E0119",
            UnnamedImport { .. } => "E0120",
            NotAPlace { .. } => "E0121",
            UpdateOfTuple { .. } => "E0122",
            InoutNotAPlace { .. } => "E0123",
            OutsideLoop { .. } => "E0124",
            ReturnOutside { .. } => "E0125",
            NotTopLevel { .. } => "E0126",
            PositionalAfterNamed { .. } => "E0127",
            Duplicate { .. } => "E0128",
            RequiredAfterDefault { .. } => "E0129",
            MisplacedEllipsis { .. } => "E0130",
            PatternParameter { .. } => "E0131",
        }
    }

    /// The complete message.
    pub fn to_diagnostic(&self) -> Diagnostic {
        use SyntaxError::*;
        let error = |message: String| Diagnostic::error(self.code(), message);
        match self {
            Unexpected { found, expected, hint, span } => {
                let label =
                    if expected.is_empty() { "this does not fit here".into() } else { format!("expected {expected}") };
                let d = error(format!("{found} does not fit here")).at(*span, label);
                match hint {
                    Some(hint) => d.help(hint),
                    None => d,
                }
            }
            UnexpectedEnd { expected, span } => {
                let label =
                    if expected.is_empty() { "more is needed here".into() } else { format!("expected {expected}") };
                error("the text ends in the middle of a statement".into()).at(*span, label)
            }
            Unclosed { bracket, open, at, at_end } => {
                let closer = hints::closer(bracket);
                let d = error(format!("this `{bracket}` is never closed"))
                    .at(*open, "opened here")
                    .help(format!("add the missing `{closer}`"));
                if *at_end {
                    d.also(*at, format!("the text ends without `{closer}`"))
                } else {
                    d.also(*at, format!("`{closer}` is missing before this"))
                }
            }
            Unopened { bracket, span, open } => {
                let d = error(format!("there is no open bracket for this `{bracket}`")).at(*span, "nothing to close");
                match open {
                    Some((text, open)) => d
                        .also(*open, format!("open here is `{text}`, which `{}` closes", hints::closer(text)))
                        .help(format!("remove it, or write `{}`", hints::closer(text))),
                    None => d.help("remove it, or add the opening bracket"),
                }
            }
            UnterminatedString { span, triple: false } => error("this string has no end".into())
                .at(*span, "it starts here, and the line ends before a closing `\"`")
                .help("add the closing `\"`, or write `\"\"\"...\"\"\"` for text of several lines"),
            UnterminatedString { span, triple: true } => {
                error("this string has no end".into()).at(*span, "starts here").help("add the closing `\"\"\"`")
            }
            BadEscape { text, span } => error(format!("`{text}` is not an escape that strings know"))
                .at(*span, "here")
                .help("the escapes are \\n \\t \\r \\0 \\\" \\\\ and \\u{1F600}; write \\\\ for a backslash"),
            NumberTooLarge { text, span } => error(format!("the number {text} is too large"))
                .at(*span, "does not fit in 64 bits")
                .help(if text.contains(['.', 'e', 'E']) && !text.starts_with("0x") {
                    "floats reach up to about 1.8e308"
                } else {
                    "ints reach up to 9223372036854775807; write it with a point, such as `1e20`, to get a float"
                }),
            BadNumber { text, span } => {
                let d =
                    error(format!("`{text}` is neither a number nor a name")).at(*span, "letters follow the digits");
                d.help(hints::bad_number(text))
            }
            StrayCharacter { found, span } => {
                let d = error(format!("`{found}` means nothing in dlang")).at(*span, "this character");
                match hints::stray(found) {
                    Some(hint) => d.help(hint),
                    None => d,
                }
            }
            ForeignOperator { found, span } => {
                let (what, hint) = hints::operator(found);
                error(what).at(*span, "not an operator of dlang").help(hint)
            }
            SingleQuotes { text, is_format, span } => error("strings are written with double quotes".into())
                .at(*span, "single quotes")
                .help(format!("write {}\"{}\"", if *is_format { "f" } else { "" }, text.escape_debug())),
            ForeignWord { word, instead, span } => {
                error(format!("`{word}` is not a word of dlang")).at(*span, "this word").help(*instead)
            }
            TooDeep { span, brackets: true } => error("there are too many brackets within brackets".into())
                .at(*span, format!("more than {} are open here", super::lexer::MAX_BRACKETS))
                .help("give the inner parts names with `let`"),
            TooDeep { span, brackets: false } => error("this statement is too long to take in".into())
                .at(*span, format!("more than {} operators and calls hang together here", super::lexer::MAX_DEPTH))
                .help("split it with `let`, or put the operands in a list and use `sum` or a loop"),
            LoneBrace { span } => error("a `}` in an f-string closes nothing".into())
                .at(*span, "no `{` before it")
                .help("write `}}` for a brace"),
            EmptyHole { span } => error("there is nothing between these braces".into())
                .at(*span, "expected an expression")
                .help("put a value in, as in f\"{x}\", or write `{{}}` for braces"),
            MissingBody { word, found, head, span } => error(match *word {
                "struct" => "the fields of a `struct` must stand in braces".to_string(),
                _ => format!("the body of `{word}` must stand in braces"),
            })
            .at(*span, format!("expected `{{`, found {found}"))
            .also(*head, format!("for this `{word}`"))
            .help(match found.as_str() {
                "the end of the line" => format!("open the brace on this line; {}", hints::body(word)),
                "`:`" => format!("{}, without the colon", hints::body(word)),
                _ => hints::body(word).to_string(),
            }),
            AssignInCondition { word, span, head } => error("`=` assigns; it does not compare".into())
                .at(*span, "expected `==`")
                .also(*head, format!("in the condition of this `{word}`"))
                .help("write `==` to compare"),
            SameLine { found, first, span } => error("two statements stand on one line".into())
                .at(*span, format!("{found} cannot go on the statement before it"))
                .also(*first, "this statement is complete")
                .help("start a new line, put `;` between them, or add the missing operator or comma"),
            EmptyIndex { span } => error("the index is empty".into())
                .at(*span, "expected something in `[ ]`")
                .help("write `x[i]`, or `x[:]` for all of it"),
            UnnamedImport { stem, span } => error(format!("`{stem}` cannot be the name of a module"))
                .at(*span, "the file's name would be the module's")
                .help("give it a name: import \"...\" as name"),
            NotAPlace { span } => error("this cannot be assigned to".into())
                .at(*span, "not a variable, an index or a field of one")
                .help("assign to `x`, `x[i]`, `x.field` or `(a, b)`; to compare, write `==`"),
            UpdateOfTuple { op, span } => error(format!("`{op}=` cannot update several variables at once"))
                .at(*span, "a tuple")
                .help("write one update for each, or assign with `=`"),
            InoutNotAPlace { span } => error("`&` needs something that can be changed".into())
                .at(*span, "not a variable, an index or a field of one")
                .help("put the value in a `var` first, and pass `&` with its name"),
            OutsideLoop { word, span } => error(format!("`{word}` stands outside of any loop"))
                .at(*span, "no `for` or `while` around it in this function")
                .help(if *word == "break" {
                    "to leave a function, use `return`"
                } else {
                    "use it within `for` or `while`"
                }),
            ReturnOutside { span } => error("`return` stands outside of any function".into())
                .at(*span, "nothing to return from")
                .help("to end the program, use `exit(0)`"),
            NotTopLevel { word, span } => error(format!("`{word}` can only stand at the top level of a file"))
                .at(*span, "inside a block")
                .help("move it out of the braces"),
            PositionalAfterNamed { span, named } => error("an argument without a name follows one with a name".into())
                .at(*span, "has no name")
                .also(*named, "has a name")
                .help("put it before the named ones, or name it too: `name: value`"),
            Duplicate { what, name, span, first } => error(format!("the {what} `{name}` is there twice"))
                .at(*span, "again here")
                .also(*first, "first here")
                .help("rename or remove one of them"),
            RequiredAfterDefault { name, span, default } => {
                error(format!("the parameter `{name}` needs a default, because one before it has one"))
                    .at(*span, "no default")
                    .also(*default, "has a default")
                    .help("move it to the front, or give it a default")
            }
            MisplacedEllipsis { span, first: Some(first) } => {
                error("`...` can stand for the remaining axes only once".into())
                    .at(*span, "again here")
                    .also(*first, "first here")
                    .help("write `:` for one whole axis")
            }
            MisplacedEllipsis { span, first: None } => error("`...` can only be the first of the dims".into())
                .at(*span, "not first")
                .help("write it first, as in `float[..., n]`; write `_` for one dim of any size"),
            PatternParameter { span } => error("the parameters of `fn` are plain names".into())
                .at(*span, "a pattern")
                .help("take one name, and take it apart with `let (a, b) = name`"),
        }
    }
}
