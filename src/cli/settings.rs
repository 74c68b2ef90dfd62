//! The options that every command takes.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::color::ColorChoice;
use super::report::Format;
use crate::pipeline::Options;
use crate::tensor::DType;

/// Values of the common options.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dtype: DType,
    pub seed: u64,
    /// 0: as many as the machine has.
    pub threads: usize,
    pub check_nan: bool,
    pub profile: bool,
    /// Warnings and remarks are kept back.
    pub quiet: bool,
    pub color: ColorChoice,
    pub format: Format,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            dtype: DType::F32,
            seed: 0,
            threads: 0,
            check_nan: false,
            profile: false,
            quiet: false,
            color: ColorChoice::Auto,
            format: Format::Text,
        }
    }
}

impl Settings {
    /// What the session takes.
    pub fn options(&self) -> Options {
        Options {
            dtype: self.dtype,
            seed: self.seed,
            check_nan: self.check_nan,
            profile: self.profile,
            threads: self.threads,
        }
    }

    /// Takes over what was given; the rest stays.
    pub fn apply(&mut self, matches: &ArgMatches) {
        let word = |name: &str| matches.get_one::<String>(name).map(String::as_str);
        match word("dtype") {
            Some("f32") => self.dtype = DType::F32,
            Some("f64") => self.dtype = DType::F64,
            _ => {}
        }
        match word("color") {
            Some("always") => self.color = ColorChoice::Always,
            Some("never") => self.color = ColorChoice::Never,
            Some("auto") => self.color = ColorChoice::Auto,
            _ => {}
        }
        match word("message-format") {
            Some("text") => self.format = Format::Text,
            Some("plain") => self.format = Format::Plain,
            Some("json") => self.format = Format::Json,
            _ => {}
        }
        if let Some(&seed) = matches.get_one::<u64>("seed") {
            self.seed = seed;
        }
        if let Some(&threads) = matches.get_one::<u32>("threads") {
            self.threads = threads as usize;
        }
        self.check_nan |= matches.get_flag("check-nan");
        self.profile |= matches.get_flag("profile");
        self.quiet |= matches.get_flag("quiet");
    }
}

/// The common options, for clap; accepted before and after everything else.
pub fn options() -> Vec<Arg> {
    let value = |name: &'static str, of: &'static str| {
        Arg::new(name).long(name).value_name(of).global(true).help_heading("Settings").action(ArgAction::Set)
    };
    let flag =
        |name: &'static str| Arg::new(name).long(name).global(true).help_heading("Settings").action(ArgAction::SetTrue);
    let words = |name: &'static str, of: &'static str, words: &'static [&'static str]| {
        value(name, of).value_parser(PossibleValuesParser::new(words)).hide_possible_values(true)
    };
    vec![
        words("dtype", "TYPE", &["f32", "f64"]).help("Of new float tensors: f32 (default) or f64"),
        value("seed", "N").value_parser(value_parser!(u64)).help("Of the random generator [default: 0]"),
        value("threads", "N").value_parser(value_parser!(u32).range(1..=4096)).help("At most so many [default: all]"),
        flag("check-nan").help("Stop where the first NaN or infinity arises"),
        flag("profile").help("Tell afterwards where the time went"),
        flag("quiet").short('q').help("No warnings and no remarks"),
        words("color", "WHEN", &["auto", "always", "never"]).help("auto (default), always or never"),
        words("message-format", "FORM", &["text", "plain", "json"]).help("text (default), plain or json"),
    ]
}

/// `Some(takes a value)` if `name` (without dashes) is a common option.
pub fn kind_of(name: &str) -> Option<bool> {
    match name {
        "dtype" | "seed" | "threads" | "color" | "message-format" => Some(true),
        "check-nan" | "profile" | "quiet" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn kinds_agree_with_clap() {
        for option in super::options() {
            let name = option.get_long().unwrap_or_default();
            assert_eq!(super::kind_of(name), Some(option.get_action().takes_values()), "{name}");
        }
    }
}
