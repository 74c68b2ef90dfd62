//! Colour or not. Order of decision: `--color`, `NO_COLOR`, `CLICOLOR_FORCE` or `FORCE_COLOR`, terminal, `TERM=dumb`.

/// `--color WHEN`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// True if text for a stream may carry colour; `terminal` tells whether the stream is one.
pub fn wanted(choice: ColorChoice, terminal: bool) -> bool {
    decide(choice, terminal, |name| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()))
}

fn decide(choice: ColorChoice, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).is_some_and(|v| !v.is_empty());
    let forced = |name: &str| variable(name).is_some_and(|v| !v.is_empty() && v != "0");
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set("NO_COLOR") => false,
        ColorChoice::Auto if forced("CLICOLOR_FORCE") || forced("FORCE_COLOR") => true,
        ColorChoice::Auto => terminal && variable("TERM").is_none_or(|term| term != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_decision() {
        let with = |vars: &'static [(&str, &str)]| {
            move |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string())
        };
        use ColorChoice::*;
        assert!(decide(Always, false, with(&[("NO_COLOR", "1")])));
        assert!(!decide(Never, true, with(&[("FORCE_COLOR", "1")])));
        assert!(!decide(Auto, true, with(&[("NO_COLOR", "1"), ("FORCE_COLOR", "1")])));
        assert!(decide(Auto, true, with(&[("NO_COLOR", "")])));
        assert!(decide(Auto, false, with(&[("CLICOLOR_FORCE", "1")])));
        assert!(!decide(Auto, false, with(&[("CLICOLOR_FORCE", "0")])));
        assert!(decide(Auto, true, with(&[("TERM", "xterm")])));
        assert!(!decide(Auto, true, with(&[("TERM", "dumb")])));
        assert!(!decide(Auto, false, with(&[])));
    }
}
