//! The program and its surroundings: arguments, environment, clock, exit, `assert` and `error`.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::{Builtin, infer};
use crate::error::{Cause, Error, Result};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::show;
use crate::types::ty::Ty;
use crate::value::Value;

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&ARGS, &ENV, &EXIT, &TIME, &TIME_NS, &ASSERT, &ERROR];

static ARGS: Builtin = Builtin {
    name: "args",
    doc: "The arguments of the script after its name that are no params, as a list of str.",
    sig: Sig { params: &[] },
    infer: infer::list_of_str,
    run: |vm, _| Ok(Value::list(vm.script_args.iter().map(Value::str).collect())),
};

static ENV: Builtin = Builtin {
    name: "env",
    doc: "The value of an environment variable as a str, or `default` if it is not set. `env(\"HOME\")`, `env(\"TMPDIR\", \"/tmp\")`.",
    sig: Sig { params: &[req("name"), opt("default", Default::None)] },
    infer: |args| {
        Ok(match args {
            [_, Ty::Str(_)] => Ty::Str(None),
            _ => Ty::Any,
        })
    },
    run: |_, args| {
        let [name, default] = args else { return Err(arity("env")) };
        let Value::Str(name) = name else { return Err(wrong_kind("env", 0, "a str", name)) };
        // The system refuses these names, and asking for them panics on some.
        if name.is_empty() || name.contains(['=', '\0']) {
            return Ok(std::mem::take(default));
        }
        match std::env::var_os(name.as_str()) {
            None => Ok(std::mem::take(default)),
            Some(value) => value.into_string().map(Value::str).map_err(|raw| {
                let shown = raw.to_string_lossy().into_owned();
                Error::new(fail::NOT_UTF8, format!("the environment variable {name} is not UTF-8 text: {shown}"))
            }),
        }
    },
};

static EXIT: Builtin = Builtin {
    name: "exit",
    doc: "Ends the program with this status, 0 to 255; 0 says that all is well. `exit(1)`.",
    sig: Sig { params: &[opt("status", Default::Int(0))] },
    infer: infer::never,
    run: |_, args| match args {
        [Value::Int(status)] => Err(exit(*status)),
        [other] => Err(wrong_kind("exit", 0, "an int", other)),
        _ => Err(arity("exit")),
    },
};

fn exit(status: i64) -> Error {
    match u8::try_from(status) {
        Ok(status) => Error::leave(Cause::Exit(i32::from(status))),
        Err(_) => Error::new(fail::BAD_ARGUMENT, format!("an exit status is 0 to 255, not {status}")),
    }
}

static TIME: Builtin = Builtin {
    name: "time",
    doc: "Seconds since 1970 as a float; the difference of two of them measures time. `let start = time()`.",
    sig: Sig { params: &[] },
    infer: infer::float,
    run: |_, _| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Value::float(now.as_secs_f64()))
    },
};

static TIME_NS: Builtin = Builtin {
    name: "time_ns",
    doc: "Nanoseconds as an int, by a clock that only goes forward; the difference of two of them measures short times. \
          `let start = time_ns()`.",
    sig: Sig { params: &[] },
    infer: infer::int,
    run: |_, _| {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        // The clock lasts for 292 years.
        Ok(Value::Int(i64::try_from(START.elapsed().as_nanos()).unwrap_or(i64::MAX)))
    },
};

static ASSERT: Builtin = Builtin {
    name: "assert",
    doc: "Stops with an error that says `message` if the condition is false. It must be one bool: of tensors, `all(...)` or \
          `any(...)`. `assert(n > 0, f\"n is {n}\")`.",
    sig: Sig { params: &[req("condition"), opt("message", Default::None)] },
    infer: infer::none,
    run: |_, args| match &*args {
        [condition, message] => assert(condition, message),
        _ => Err(arity("assert")),
    },
};

fn assert(condition: &Value, message: &Value) -> Result<Value> {
    match condition {
        Value::Bool(true) => Ok(Value::None),
        Value::Bool(false) => {
            let text = match message {
                Value::None => "assertion failed".to_string(),
                other => show::display(other),
            };
            Err(Error::new(fail::ASSERTION, text).operand(0, "this is false"))
        }
        other => {
            let error = wrong_kind("assert", 0, "one bool", other);
            Err(match other {
                Value::Tensor(..) => error.help("use all(...) or any(...)"),
                _ => error,
            })
        }
    }
}

static ERROR: Builtin = Builtin {
    name: "error",
    doc: "Stops with an error that says `message`; `try { ... } catch e { e.message }` gets it back. `error(\"no data\")`.",
    sig: Sig { params: &[req("message")] },
    infer: infer::never,
    run: |_, args| match &*args {
        [message] => Err(Error::new(fail::RAISED, show::display(message))),
        _ => Err(arity("error")),
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions() {
        assert!(super::assert(&Value::Bool(true), &Value::None).is_ok());
        let error = super::assert(&Value::Bool(false), &Value::str("n is 0")).err().unwrap();
        assert_eq!((error.0.code, error.0.message.as_str()), (fail::ASSERTION, "n is 0"));
        let error = super::assert(&Value::Int(1), &Value::None).err().unwrap();
        assert_eq!(error.0.code, fail::WRONG_KIND);
    }

    #[test]
    fn exit_leaves_and_cannot_be_caught() {
        let error = exit(3);
        assert_eq!(error.0.cause, Cause::Exit(3));
        assert!(!error.is_failure());
        assert!(exit(-1).is_failure());
        assert!(exit(256).is_failure());
    }
}
