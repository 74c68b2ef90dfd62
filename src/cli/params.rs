//! The arguments of a program as values of its params: `--lr 0.1`, `--lr=0.1`, `--verbose`, `--no-verbose`.
//!
//! Values stay text here; the session reads them by the param's type.

use std::fmt::Write;

use super::settings;
use crate::diagnostic::did_you_mean;
use crate::pipeline::ParamInfo;

/// The arguments of a program, taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Call {
    /// Words up to `--`.
    words: Vec<String>,
    /// For `args()`: words that are no option, and all after `--`.
    pub rest: Vec<String>,
    /// `--help` or `-h` was among them.
    pub help: bool,
}

/// Sets apart what needs no knowledge of the params. A word after `--name` may be its value, so it is kept with it until
/// [`choose`]; only words that follow no option are surely for `args()`.
pub fn split(arguments: &[String]) -> Call {
    let mut call = Call::default();
    let cut = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let mut after_option = false;
    for word in arguments.iter().take(cut) {
        call.help |= word == "--help" || word == "-h";
        if word.starts_with("--") {
            after_option = !word.contains('=');
        } else {
            if !after_option {
                call.rest.push(word.clone());
            }
            after_option = false;
        }
        call.words.push(word.clone());
    }
    call.rest.extend(arguments.iter().skip(cut + 1).cloned());
    call
}

/// Params and the texts of their values. `Err` is a whole message.
pub fn choose(program: &str, call: &Call, known: &[ParamInfo]) -> Result<Vec<(String, String)>, String> {
    let mut chosen = vec![];
    let mut words = call.words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--") else {
            plain_word(program, word, call, known)?;
            continue;
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_string())),
            None => (option, None),
        };
        let common = settings::kind_of(name);
        if let Some(param) = known.iter().find(|p| same(&p.name, name)) {
            let value = match value {
                Some(value) => value,
                // A flag may stand alone; `true` or `false` after it is its value.
                None if param.ty == "bool" => match words.next_if(|next| matches!(next.as_str(), "true" | "false")) {
                    Some(value) => value.clone(),
                    None => "true".into(),
                },
                None => match words.next_if(|next| !next.starts_with("--")) {
                    Some(value) => value.clone(),
                    None if common == Some(false) => continue,
                    None => {
                        return Err(format!("error: --{} needs a value: {}\n", kebab(&param.name), param.ty));
                    }
                },
            };
            chosen.push((param.name.clone(), value));
        } else if let Some(param) = negated(name, known) {
            chosen.push((param.name.clone(), "false".into()));
        } else if let Some(takes_value) = common {
            if takes_value && value.is_none() {
                words.next();
            }
        } else {
            return Err(unknown(program, name, known));
        }
    }
    Ok(chosen)
}

/// A word that is no option: for `args()`, unless a mistake is likely.
fn plain_word(program: &str, word: &str, call: &Call, known: &[ParamInfo]) -> Result<(), String> {
    let name = word.trim_start_matches('-').split('=').next().unwrap_or(word);
    if word.contains('=') && known.iter().any(|p| same(&p.name, name)) {
        return Err(format!("error: params are written with two dashes\nhint: --{}\n", word.trim_start_matches('-')));
    }
    if word.starts_with('-') && known.iter().any(|p| same(&p.name, name)) {
        return Err(format!("error: params are written with two dashes\nhint: write --{} for {word}\n", kebab(name)));
    }
    if word.starts_with('-') && word.len() > 1 && word.parse::<f64>().is_err() {
        return Err(unknown(program, name, known));
    }
    if !call.rest.contains(&word.to_string()) {
        // It follows a flag, which takes no value.
        return Err(format!(
            "error: `{word}` follows an option that takes no value\nhint: words for args() stand first, or after `--`\n"
        ));
    }
    Ok(())
}

/// `no-verbose` for the bool param `verbose`.
fn negated<'a>(name: &str, known: &'a [ParamInfo]) -> Option<&'a ParamInfo> {
    let positive = name.strip_prefix("no-").or(name.strip_prefix("no_"))?;
    known.iter().find(|p| p.ty == "bool" && same(&p.name, positive))
}

fn unknown(program: &str, name: &str, known: &[ParamInfo]) -> String {
    let mut text = format!("error: `{program}` has no param `{name}`\n");
    let names: Vec<String> = known.iter().map(|p| kebab(&p.name)).collect();
    let common: Vec<String> = settings::options().iter().filter_map(|o| o.get_long().map(String::from)).collect();
    let all = names.iter().chain(&common).map(String::as_str).chain(["help"]);
    let _ = match did_you_mean(&name.replace('_', "-"), all) {
        Some(near) => writeln!(text, "hint: did you mean `--{near}`?"),
        None if names.is_empty() => writeln!(text, "hint: it has no params; words for args() stand after `--`"),
        None => writeln!(text, "hint: it has --{}", names.join(", --")),
    };
    text
}

/// `learning-rate` and `learning_rate` are the same param.
pub fn same(param: &str, name: &str) -> bool {
    param.chars().eq(name.chars().map(|c| if c == '-' { '_' } else { c }))
}

/// As an option is written.
pub fn kebab(param: &str) -> String {
    param.replace('_', "-")
}

/// What `dlang FILE --help` prints.
pub fn help(program: &str, doc: Option<&str>, params: &[ParamInfo]) -> String {
    let mut text = String::new();
    if let Some(doc) = doc.map(str::trim).filter(|d| !d.is_empty()) {
        let _ = writeln!(text, "{doc}\n");
    }
    if params.is_empty() {
        let _ = writeln!(text, "Usage: dlang {program}\n\nIt has no params.");
    } else {
        let _ = writeln!(text, "Usage: dlang {program} [--param value ...]\n\nParams:");
    }
    let heads: Vec<String> = params.iter().map(|p| format!("--{} <{}>", kebab(&p.name), p.ty)).collect();
    let width = heads.iter().map(|h| h.chars().count()).max().unwrap_or(0).min(32);
    for (param, head) in params.iter().zip(&heads) {
        let doc = param.doc.as_deref().map(str::trim).unwrap_or_default();
        let doc = doc.lines().collect::<Vec<_>>().join(" ");
        let gap = if doc.is_empty() { "" } else { " " };
        let _ = writeln!(text, "  {head:width$}  {doc}{gap}[default: {}]", param.default);
    }
    let _ = writeln!(text, "\nSettings such as --dtype, --seed and --threads count, too; see `dlang --help`.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infos() -> Vec<ParamInfo> {
        let info = |name: &str, ty: &str, default: &str, doc: &str| ParamInfo {
            name: name.into(),
            ty: ty.into(),
            default: default.into(),
            doc: Some(doc.into()),
        };
        vec![
            info("learning_rate", "float", "0.05", "step size"),
            info("steps", "int", "200", ""),
            info("verbose", "bool", "false", "tell more"),
            info("color", "str", "\"red\"", ""),
        ]
    }

    fn chosen(words: &[&str]) -> Result<Vec<(String, String)>, String> {
        let words: Vec<String> = words.iter().map(|w| w.to_string()).collect();
        choose("a.dl", &split(&words), &infos())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn flags_with_a_value() {
        let verbose = |value: &str, rest: &[&str]| {
            let words = [&["--verbose", value][..], rest].concat();
            chosen(&words)
        };
        assert_eq!(verbose("false", &[]), Ok(vec![pair("verbose", "false")]));
        assert_eq!(verbose("true", &["--steps", "3"]), Ok(vec![pair("verbose", "true"), pair("steps", "3")]));
        assert!(verbose("maybe", &[]).is_err());
        assert_eq!(
            chosen(&["-steps", "3"]),
            Err("error: params are written with two dashes\nhint: write --steps for -steps\n".into())
        );
    }

    #[test]
    fn the_forms() {
        let rate = |value: &str| Ok(vec![pair("learning_rate", value)]);
        assert_eq!(chosen(&["--learning-rate", "0.1"]), rate("0.1"));
        assert_eq!(chosen(&["--learning_rate=-0.1"]), rate("-0.1"));
        assert_eq!(chosen(&["--learning-rate", "-0.1"]), rate("-0.1"));
        assert_eq!(
            chosen(&["--verbose", "--steps", "3", "--no-verbose", "--verbose=true"]),
            Ok(vec![pair("verbose", "true"), pair("steps", "3"), pair("verbose", "false"), pair("verbose", "true")])
        );
    }

    #[test]
    fn common_settings_are_passed_over_unless_the_program_has_them() {
        assert_eq!(
            chosen(&["--seed", "3", "--check-nan", "--color", "blue", "--steps=1"]),
            Ok(vec![pair("color", "blue"), pair("steps", "1")])
        );
    }

    #[test]
    fn mistakes() {
        let wrong = |words: &[&str]| chosen(words).expect_err("should be refused");
        assert!(wrong(&["--stesp", "3"]).contains("did you mean `--steps`?"));
        assert!(wrong(&["--zzz"]).contains("--learning-rate"));
        assert!(wrong(&["--steps"]).contains("needs a value: int"));
        assert!(wrong(&["--steps", "--verbose"]).contains("needs a value"));
        assert!(wrong(&["steps=3"]).contains("--steps=3"));
        assert!(wrong(&["-x"]).contains("no param `x`"));
        assert!(wrong(&["--verbose", "yes"]).contains("takes no value"));
    }

    #[test]
    fn words_for_the_program() {
        let words: Vec<String> = ["in.csv", "--steps", "3", "out.csv", "--", "--x"].map(String::from).to_vec();
        let call = split(&words);
        assert_eq!(call.rest, ["in.csv", "out.csv", "--x"]);
        assert_eq!(choose("a.dl", &call, &infos()), Ok(vec![pair("steps", "3")]));
        assert!(split(&["--help".to_string()]).help);
        assert!(!split(&["--".to_string(), "--help".to_string()]).help);
    }

    #[test]
    fn help_lists_name_type_default_and_doc() {
        let text = help("a.dl", Some("Fit a line."), &infos());
        assert!(text.starts_with("Fit a line.\n\nUsage: dlang a.dl "), "{text}");
        assert!(text.contains("  --learning-rate <float>  step size [default: 0.05]\n"), "{text}");
        assert!(text.contains("  --steps <int>            [default: 200]\n"), "{text}");
    }
}
