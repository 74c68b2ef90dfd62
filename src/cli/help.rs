//! `dlang help [TOPIC]`: of the whole, of a command, or on a topic.

use super::args;
use super::exit::{self, Exit};
use super::out;
use crate::diagnostic::did_you_mean;

/// Prints help.
pub fn run(topic: Option<&str>) -> Exit {
    let mut command = args::command();
    // Gives the commands their settings and their full names.
    command.build();
    let Some(topic) = topic else {
        out::print(&command.render_help().to_string());
        return Exit::Fine;
    };
    if topic == "exit-codes" {
        out::print(exit::HELP);
        return Exit::Fine;
    }
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_string()).collect();
    match command.find_subcommand_mut(topic) {
        Some(sub) => {
            out::print(&sub.render_help().to_string());
            Exit::Fine
        }
        None => {
            let near = did_you_mean(topic, names.iter().map(String::as_str).chain(["exit-codes"]));
            let hint = near.map(|near| format!("did you mean `dlang help {near}`?"));
            out::usage_error(&format!("there is no help on `{topic}`"), hint.as_deref());
            Exit::Usage
        }
    }
}
