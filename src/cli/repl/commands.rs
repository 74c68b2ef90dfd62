//! The `:commands`: their names, and which one a prefix means.

/// A command.
pub struct Command {
    pub name: &'static str,
    /// What follows it, for `:help`.
    pub args: &'static str,
    pub help: &'static str,
    pub action: Action,
}

/// What to do; carried out in `actions.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Help,
    Type,
    Shape,
    Doc,
    Load,
    Reload,
    Run,
    Save,
    Vars,
    Time,
    Bench,
    Seed,
    Reset,
    History,
    Dump,
    Quit,
}

const fn command(name: &'static str, args: &'static str, help: &'static str, action: Action) -> Command {
    Command { name, args, help, action }
}

/// In the order of `:help`. Of several that begin with one letter, the first is meant by the letter alone.
pub static COMMANDS: &[Command] = &[
    command("help", "[name]", "this list, or help on a name", Action::Help),
    command("type", "expr", "type and shape as far as they are known without running", Action::Type),
    command("shape", "expr", "shape of each tensor in the value", Action::Shape),
    command("doc", "name", "what a function does; ?name and name? as well", Action::Doc),
    command("load", "file", "run a file here and keep its names", Action::Load),
    command("reload", "", "load the last file again", Action::Reload),
    command("run", "file [--param value]", "run a program by itself", Action::Run),
    command("save", "file", "write what was typed into a file", Action::Save),
    command("vars", "", "names that were defined, with types", Action::Vars),
    command("time", "expr", "run once and tell how long it took", Action::Time),
    command("bench", "expr", "run many times and tell the median", Action::Bench),
    command("seed", "n", "restart the random generator", Action::Seed),
    command("reset", "", "forget all names", Action::Reset),
    command("history", "", "what was typed", Action::History),
    command("dump", "phase expr", "tokens, ast, typed or bytecode of an expression", Action::Dump),
    command("quit", "", "leave; Ctrl-D as well", Action::Quit),
];

/// The command that `word` (without the colon) means: its name, or a prefix that no other has, or a single letter.
pub fn find(word: &str) -> Result<&'static Command, String> {
    let matching: Vec<&Command> = COMMANDS.iter().filter(|c| c.name.starts_with(word)).collect();
    let exact = COMMANDS.iter().find(|c| c.name == word);
    match (exact, matching.as_slice()) {
        (Some(command), _) => Ok(command),
        (None, [command]) => Ok(command),
        (None, []) => {
            let near = crate::diagnostic::did_you_mean(word, COMMANDS.iter().map(|c| c.name));
            let hint = near.map_or(":help lists the commands".to_string(), |near| format!("did you mean :{near}?"));
            Err(format!("there is no command :{word}\nhint: {hint}\n"))
        }
        (None, [first, ..]) if word.chars().count() == 1 => Ok(first),
        (None, several) => {
            let names: Vec<String> = several.iter().map(|c| format!(":{}", c.name)).collect();
            Err(format!(":{word} may mean {}\n", names.join(" or ")))
        }
    }
}

/// `:help`
pub fn help() -> String {
    let heads: Vec<String> =
        COMMANDS.iter().map(|c| format!(":{} {}", c.name, c.args).trim_end().to_string()).collect();
    let width = heads.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::from("Type an expression to see its value and type; a `;` at its end hides them.\n\n");
    for (command, head) in COMMANDS.iter().zip(&heads) {
        text.push_str(&format!("  {head:width$}  {}\n", command.help));
    }
    text.push_str("\nA prefix will do: :t, :q. Ctrl-C stops what runs, Alt-Enter begins a line, Tab completes.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let name = |word: &str| find(word).map(|c| c.name);
        assert_eq!(name("type"), Ok("type"));
        assert_eq!(name("t"), Ok("type"));
        assert_eq!(name("ti"), Ok("time"));
        assert_eq!(name("q"), Ok("quit"));
        assert_eq!(name("rel"), Ok("reload"));
        assert_eq!(find("re").map(|c| c.name), Err(":re may mean :reload or :reset\n".into()));
        assert!(find("tyep").is_err_and(|e| e.contains("did you mean :type?")));
    }
}
