//! Remedies for what people bring along from Python, Julia, Swift, JavaScript, Rust and C.
//!
//! In: a word, an operator, a character of another language. Out: how dlang says it.

/// What to write instead of a word that other languages have; `None` if there is nothing to say. Also meant for
/// `resolve`, when such a name is not defined.
pub fn foreign_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "def" | "func" | "function" | "fun" | "sub" | "defn" | "proc" => {
            "write `fn`, as in `fn f(x) = x^2` or `fn f(x) { ... }`"
        }
        "elif" | "elsif" | "elseif" => "write `else if`, as in `if a { ... } else if b { ... }`",
        "lambda" => "write a function in bars, as in `|x| x + 1`",
        "const" | "auto" | "val" | "local" | "final" => "write `let x = ...`, or `var x = ...` if it changes",
        "mut" => "write `var x = ...` for a variable that changes",
        "class" | "record" | "type" | "interface" | "trait" | "enum" => {
            "write `struct Name { field: type }`, and functions for it in `impl Name { ... }`"
        }
        "True" => "write `true`",
        "False" => "write `false`",
        "None" | "null" | "nil" | "NULL" | "nothing" | "undefined" => "write `none`",
        "pass" => "leave the braces empty: `{ }`",
        "raise" | "throw" | "panic" => "write `error(\"message\")`",
        "except" | "rescue" => "write `try { ... } catch e { ... }`",
        "finally" | "defer" => "there is no such form; put it after the `try { ... } catch e { ... }`",
        "switch" | "match" | "case" => "write `if a { ... } else if b { ... } else { ... }`",
        "loop" | "until" | "repeat" | "do" | "forever" => "write `while cond { ... }`, or `while true { ... }`",
        "foreach" => "write `for x in xs { ... }`",
        "then" | "begin" | "end" | "endif" | "fi" | "done" => "write blocks in braces: `if cond { ... }`",
        "del" | "delete" => "take it out: a value goes when nothing uses it",
        "global" | "nonlocal" => "pass the variable: `fn f(inout x) { ... }`, called as `f(&x)`",
        "yield" => "push each value to a list, and return that",
        "await" | "async" => "there is no such form in dlang",
        "with" => "read a file with read_text(path); there is nothing to close",
        "using" | "include" | "require" | "use" => "write `import name`, or `import \"./file.dl\"`",
        "is" => "write `==`",
        "xor" => "write `!=` between two bools",
        "new" => "call the struct's name, as in `Point(x: 1.0, y: 2.0)`",
        "println" | "printf" | "puts" | "echo" => "write `print(...)`",
        "assert_eq" => "write `assert(a == b)`",
        _ => return None,
    })
}

/// Message and remedy for an operator of another language.
pub fn operator(found: &str) -> (String, &'static str) {
    let is = |ours: &str| format!("`{found}` is written `{ours}`");
    match found {
        "&&" => (is("and"), "write `and`"),
        "||" => (is("or"), "write `or`"),
        "!" => (is("not"), "write `not x`"),
        "**" => (is("^"), "write `^` for powers, as in `x^2`"),
        "**=" => (is("^="), "write `x ^= 2`"),
        "===" => (is("=="), "write `==`"),
        "!==" => (is("!="), "write `!=`"),
        ":=" => (is("="), "write `let x = ...` for a new name, `x = ...` for a `var`"),
        "++" => ("there is no `++` in dlang".into(), "write `x += 1`"),
        "--" => ("there is no `--` in dlang".into(), "write `x -= 1`"),
        _ => (format!("there is no `{found}` in dlang"), "see the list of operators in the reference"),
    }
}

/// A remedy for a character that is in no token.
pub fn stray(found: &str) -> Option<&'static str> {
    Some(match found {
        "'" => "strings are written with \"double quotes\"; the transpose of x is `x.t`",
        "“" | "”" | "„" | "«" | "»" | "‘" | "’" => "write strings with plain quotes: \"...\"",
        "`" => "write strings with double quotes: \"...\"",
        "$" => "put values into text with an f-string: f\"{x}\"",
        "\\" => "a line goes on after an operator or a comma, and inside ( ) and [ ]; no `\\` is needed",
        "~" => "write `not x`",
        "×" | "·" | "∙" => "write `*`",
        "÷" => "write `/`",
        "−" | "–" | "—" => "write a plain minus sign: `-`",
        "≤" => "write `<=`",
        "≥" => "write `>=`",
        "≠" => "write `!=`",
        "∈" => "write `in`",
        "→" => "write `->`",
        "√" => "write `sqrt(x)`",
        "²" => "write `x^2`",
        "\u{a0}" => "it is a no-break space; write a plain one",
        _ => return None,
    })
}

/// A remedy for digits with letters.
pub fn bad_number(text: &str) -> String {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_' || c == '.').len();
    let (number, letters) = text.split_at(digits);
    match letters {
        "f" | "f32" | "f64" | "d" => format!("write `{number}`; tensors choose their dtype with `dtype: f32`"),
        "L" | "l" | "u" | "i32" | "i64" | "u8" | "usize" => format!("write `{number}`; an int has 64 bits"),
        "j" | "im" | "i" => "dlang has no complex numbers".into(),
        "e" | "E" => format!("write the exponent, as in `{number}e3`"),
        _ if text.starts_with("0x") => "hexadecimal digits are 0 to 9 and a to f".into(),
        _ if number == "0" && letters.starts_with(['b', 'o']) => {
            "ints are written in decimal, or in hexadecimal as `0xff`".into()
        }
        _ => format!("to multiply, write `{number} * {letters}`; names cannot start with a digit"),
    }
}

/// The partner of an opening bracket.
pub fn closer(bracket: &str) -> &'static str {
    match bracket {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// The usual form of what needs a body.
pub fn body(word: &str) -> &'static str {
    match word {
        "if" => "write `if cond { ... }`",
        "else" => "write `else { ... }` or `else if cond { ... }`",
        "while" => "write `while cond { ... }`",
        "for" => "write `for x in xs { ... }`",
        "fn" => "write `fn f(x) { ... }` or `fn f(x) = ...`",
        "try" => "write `try { ... } catch e { ... }`",
        "struct" => "write `struct Name { field: type }`",
        "impl" => "write `impl Name { fn method(self) { ... } }`",
        "test" => "write `test \"name\" { ... }`",
        _ => "put the body in braces: `{ ... }`",
    }
}
