//! What kind of thing was typed. Lines that only other systems understand are answered by teaching.

/// One input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    Empty,
    /// `:name rest`
    Command {
        name: String,
        rest: String,
    },
    /// `?name`, `name?`
    Help(String),
    /// A habit from elsewhere; the text says what to do here.
    Teach(String),
    /// Bare `exit` or `quit`.
    Leave,
    Code(String),
}

/// Takes an input apart; the text is free of prompts (see [`split_pasted`]).
pub fn classify(text: &str) -> Input {
    let line = text.trim();
    if line.is_empty() {
        return Input::Empty;
    }
    if matches!(line, "exit" | "quit" | "exit()" | "quit()") {
        return Input::Leave;
    }
    if let Some(rest) = line.strip_prefix(':') {
        let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        return Input::Command { name: name.to_string(), rest: rest.trim().to_string() };
    }
    if let Some(name) = line.strip_prefix('?') {
        return Input::Help(name.trim_matches(|c: char| c == '?' || c.is_whitespace()).to_string());
    }
    if let Some(name) = line.strip_suffix('?')
        && is_path(name.trim_end_matches('?'))
    {
        return Input::Help(name.trim_end_matches('?').to_string());
    }
    match teach(line) {
        Some(lesson) => Input::Teach(lesson),
        None => Input::Code(text.to_string()),
    }
}

/// `name` or `module.name`
fn is_path(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|part| {
            part.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
}

/// Lines that no program contains, but people coming from elsewhere type.
fn teach(line: &str) -> Option<String> {
    if let Some(magic) = line.strip_prefix('%') {
        let (word, rest) = magic.split_once(char::is_whitespace).unwrap_or((magic, ""));
        let here = match word.trim_start_matches('%') {
            "time" => ":time",
            "timeit" => ":bench",
            "run" => ":run",
            "load" => ":load",
            "who" | "whos" | "who_ls" => ":vars",
            "reset" => ":reset",
            "hist" | "history" => ":history",
            "doc" | "pdoc" | "pinfo" => ":doc",
            "save" => ":save",
            _ => return Some("commands begin with a colon here; :help lists them\n".into()),
        };
        return Some(format!("commands begin with a colon here: {here} {}", rest.trim()).trim_end().to_string() + "\n");
    }
    if line.starts_with('!') || (line.starts_with(';') && line.len() > 1) {
        return Some("dlang runs no shell commands; Ctrl-Z puts it aside and `fg` brings it back\n".into());
    }
    if line.starts_with(']') {
        return Some("there are no packages to add; the library is inside: `import nn`, `import optim`\n".into());
    }
    None
}

pub const PROMPT: &str = "dlang> ";
pub const CONTINUATION: &str = "   ... ";

/// A paste from a REPL has prompts before what was typed, and answers between: gives the inputs alone, one by one.
/// Text without prompts is one input.
pub fn split_pasted(text: &str) -> Vec<String> {
    let typed = |line: &str| line.trim_start().strip_prefix(PROMPT.trim_end()).map(after_prompt);
    if text.lines().find(|l| !l.trim().is_empty()).and_then(typed).is_none() {
        return vec![text.to_string()];
    }
    let mut inputs: Vec<String> = vec![];
    let mut open = false;
    for line in text.lines() {
        if let Some(rest) = typed(line) {
            inputs.push(rest);
            open = true;
        } else if let Some(rest) = line.trim_start().strip_prefix(CONTINUATION.trim()).filter(|_| open) {
            if let Some(last) = inputs.last_mut() {
                last.push('\n');
                last.push_str(&after_prompt(rest));
            }
        } else {
            open = false;
        }
    }
    inputs
}

/// Drops the one blank that belongs to the prompt.
fn after_prompt(rest: &str) -> String {
    rest.strip_prefix(' ').unwrap_or(rest).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let command = |name: &str, rest: &str| Input::Command { name: name.into(), rest: rest.into() };
        assert_eq!(classify(":type x + 1"), command("type", "x + 1"));
        assert_eq!(classify(":q"), command("q", ""));
        assert_eq!(classify("?sum"), Input::Help("sum".into()));
        assert_eq!(classify("nn.Dense?"), Input::Help("nn.Dense".into()));
        assert_eq!(classify("?"), Input::Help(String::new()));
        assert_eq!(classify(" quit "), Input::Leave);
        assert_eq!(classify("let x = 1"), Input::Code("let x = 1".into()));
        assert_eq!(classify("  "), Input::Empty);
        for line in ["%timeit f(x)", "!ls", ";ls", "]add Foo"] {
            assert!(matches!(classify(line), Input::Teach(_)), "{line}");
        }
        assert_eq!(classify("%timeit f(x)"), Input::Teach("commands begin with a colon here: :bench f(x)\n".into()));
        assert!(matches!(classify("x % 2"), Input::Code(_)));
    }

    #[test]
    fn pasted_prompts() {
        let paste = "dlang> let x = 1\ndlang> x\n1 : int\ndlang> fn f(x) {\n   ...   x\n   ... }\ndlang> f(2)";
        assert_eq!(split_pasted(paste), ["let x = 1", "x", "fn f(x) {\n  x\n}", "f(2)"]);
        assert_eq!(split_pasted("a\nb"), ["a\nb"]);
    }
}
