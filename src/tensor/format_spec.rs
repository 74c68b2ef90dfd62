//! The format mini-language of f-strings, as Python has it:
//! `[[fill]align][sign][z][#][0][width][, or _][.precision][type]`.

use super::format::{fixed, format_f32, format_float, general, scientific};
use super::{DType, Tensor};
use crate::error::{Error, Result};
use crate::value::Value;

/// Widest field and longest fraction; more would only fill the memory.
const LIMIT: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Align {
    Left,
    Right,
    Center,
    /// Fill goes between sign and digits.
    AfterSign,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    Minus,
    Plus,
    Space,
}

/// A parsed format such as `>8.3f`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormatSpec {
    fill: char,
    align: Option<Align>,
    sign: Sign,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
    text: String,
}

impl FormatSpec {
    /// Reads what stands after the colon.
    pub fn parse(text: &str) -> Result<FormatSpec> {
        let bad = |what: String| {
            Error::new("E0314", format!("{what} in the format `{text}`"))
                .help("a format is [fill and < > ^ =] [+] [width] [,] [.precision] [d f e g % s x b], such as `>8.3f`")
        };
        let mut spec = FormatSpec {
            fill: ' ',
            align: None,
            sign: Sign::Minus,
            alternate: false,
            width: 0,
            grouping: None,
            precision: None,
            kind: None,
            text: text.to_string(),
        };
        let chars: Vec<char> = text.trim_end_matches(' ').chars().collect();
        let align = |c: Option<&char>| match c {
            Some('<') => Some(Align::Left),
            Some('>') => Some(Align::Right),
            Some('^') => Some(Align::Center),
            Some('=') => Some(Align::AfterSign),
            _ => None,
        };
        let mut at = 0;
        if let (Some(&fill), Some(a)) = (chars.first(), align(chars.get(1))) {
            (spec.fill, spec.align, at) = (fill, Some(a), 2);
        } else if let Some(a) = align(chars.first()) {
            (spec.align, at) = (Some(a), 1);
        }
        match chars.get(at) {
            Some('+') => (spec.sign, at) = (Sign::Plus, at + 1),
            Some('-') => at += 1,
            Some(' ') => (spec.sign, at) = (Sign::Space, at + 1),
            _ => {}
        }
        if chars.get(at) == Some(&'#') {
            (spec.alternate, at) = (true, at + 1);
        }
        if chars.get(at) == Some(&'0') {
            if spec.align.is_none() {
                (spec.fill, spec.align) = ('0', Some(Align::AfterSign));
            }
            at += 1;
        }
        let number = |at: &mut usize| -> Result<Option<usize>> {
            let start = *at;
            while chars.get(*at).is_some_and(char::is_ascii_digit) {
                *at += 1;
            }
            if start == *at {
                return Ok(None);
            }
            let digits: String = chars.get(start..*at).unwrap_or(&[]).iter().collect();
            match digits.parse() {
                Ok(n) if n <= LIMIT => Ok(Some(n)),
                _ => Err(bad(format!("the number {digits} is too large"))),
            }
        };
        spec.width = number(&mut at)?.unwrap_or(0);
        if let Some(&c @ (',' | '_')) = chars.get(at) {
            (spec.grouping, at) = (Some(c), at + 1);
        }
        if chars.get(at) == Some(&'.') {
            at += 1;
            spec.precision = Some(number(&mut at)?.ok_or_else(|| bad("no precision after the point".into()))?);
        }
        if let Some(&c) = chars.get(at) {
            if !"dfFeEgGs%xXbo".contains(c) {
                return Err(bad(format!("unknown type `{c}`")));
            }
            (spec.kind, at) = (Some(c), at + 1);
        }
        match chars.get(at) {
            None => Ok(spec),
            Some(c) => Err(bad(format!("unexpected `{c}`"))),
        }
    }

    #[cold]
    fn unfit(&self, what: &str, help: &str) -> Error {
        Error::new("E0314", format!("the format `{}` does not fit {what}", self.text)).help(help.to_string())
    }

    /// A formatted int.
    pub fn apply_int(&self, x: i64) -> Result<String> {
        let digits = match self.kind {
            None | Some('d') => x.unsigned_abs().to_string(),
            Some('x') => format!("{:x}", x.unsigned_abs()),
            Some('X') => format!("{:X}", x.unsigned_abs()),
            Some('b') => format!("{:b}", x.unsigned_abs()),
            Some('o') => format!("{:o}", x.unsigned_abs()),
            Some('s') => return Err(self.unfit("an int", "`s` is for strings; use `d`")),
            Some(_) => return self.apply_float(x as f64),
        };
        if self.precision.is_some() {
            return Err(self.unfit("an int", "a precision needs a float type such as `.2f`"));
        }
        let prefix = match self.kind {
            Some(c @ ('x' | 'X' | 'b' | 'o')) if self.alternate => format!("0{c}"),
            _ => String::new(),
        };
        Ok(self.number(x < 0, &prefix, digits))
    }

    /// A formatted float.
    pub fn apply_float(&self, x: f64) -> Result<String> {
        self.float_with(x, || format_float(x.abs()))
    }

    /// `plain`: the magnitude where neither type nor precision is given.
    fn float_with(&self, x: f64, plain: impl Fn() -> String) -> Result<String> {
        let a = x.abs();
        let precision = self.precision.unwrap_or(6);
        let text = match (self.kind, self.precision) {
            (Some('f' | 'F'), _) => fixed(a, precision),
            (Some('e'), _) => scientific(a, precision),
            (Some('E'), _) => scientific(a, precision).to_uppercase(),
            (Some('g'), _) => general(a, precision, self.alternate),
            (Some('G'), _) => general(a, precision, self.alternate).to_uppercase(),
            (Some('%'), _) => format!("{}%", fixed(100.0 * a, precision)),
            (None, Some(p)) => {
                let text = general(a, p, false);
                if text.contains(['.', 'e', 'n']) { text } else { format!("{text}.0") }
            }
            (None, None) => plain(),
            (Some('d' | 'x' | 'X' | 'b' | 'o'), _) => {
                return Err(self.unfit("a float", "convert it with int(x), or use `f`"));
            }
            (Some(_), _) => return Err(self.unfit("a float", "`s` is for strings; use `f` or `g`")),
        };
        Ok(self.number(x.is_sign_negative() && !x.is_nan(), "", text))
    }

    /// A formatted string (precision cuts it).
    pub fn apply_str(&self, s: &str) -> Result<String> {
        if !matches!(self.kind, None | Some('s')) {
            return Err(self.unfit("a string", "convert it with float(s) or int(s) first"));
        }
        if self.sign != Sign::Minus || self.grouping.is_some() || self.align == Some(Align::AfterSign) {
            return Err(self.unfit("a string", "signs, `=` and `,` are for numbers"));
        }
        let cut: String = match self.precision {
            Some(n) => s.chars().take(n).collect(),
            None => s.to_string(),
        };
        Ok(self.pad("", &cut, Align::Left))
    }

    /// A tensor with each element formatted.
    pub fn apply_tensor(&self, t: &Tensor) -> Result<String> {
        let spec = match (self.kind, t.dtype()) {
            // As ints where a float type is not asked for.
            (Some('s'), DType::Bool) => FormatSpec { kind: None, ..self.clone() },
            _ => self.clone(),
        };
        let c = t.contiguous();
        let one = |i: usize| -> Result<String> {
            match (super::create::element(&c, i), t.dtype()) {
                (Some(Value::Float(_, x)), DType::F32) => spec.float_with(x, || format_f32(x.abs() as f32)),
                (Some(v), _) => spec.apply_value(&v),
                (None, _) => Ok(String::new()),
            }
        };
        if !t.is_empty() {
            one(0)?; // whether it fits at all
        }
        Ok(t.layout(&|i| one(i).unwrap_or_default()))
    }

    /// True for `.2f`, `d`, `%` and the like.
    pub fn is_for_numbers(&self) -> bool {
        self.kind.is_some_and(|kind| kind != 's')
    }

    /// A structure with each number and tensor in it formatted; what is none of them is shown as it is.
    pub fn apply_leaves(&self, structure: &Value) -> Result<String> {
        let mut failed = None;
        let text = crate::show::with_leaves(structure, &mut |leaf| match leaf {
            Value::Int(_) | Value::Float(..) | Value::Tensor(..) => match self.apply_value(leaf) {
                Ok(text) => Some(text),
                Err(error) => {
                    failed.get_or_insert(error);
                    None
                }
            },
            _ => None,
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(text),
        }
    }

    /// Any scalar, string or tensor; an error for other kinds.
    pub fn apply_value(&self, v: &Value) -> Result<String> {
        match v {
            Value::Bool(b) if matches!(self.kind, None | Some('s')) => {
                self.apply_str(if *b { "true" } else { "false" })
            }
            Value::Bool(b) => self.apply_int(*b as i64),
            Value::Int(i) => self.apply_int(*i),
            Value::Float(_, x) => self.apply_float(*x),
            Value::Str(s) => self.apply_str(s),
            Value::Tensor(_, t) => self.apply_tensor(t),
            other => Err(self.unfit(
                &super::create::article(&other.type_name()),
                "formats are for numbers, strings and tensors; leave it out to print other values",
            )),
        }
    }

    fn number(&self, negative: bool, prefix: &str, digits: String) -> String {
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (false, Sign::Plus) => "+",
            (false, Sign::Space) => " ",
            (false, Sign::Minus) => "",
        };
        let head = format!("{sign}{prefix}");
        let body = match self.grouping {
            Some(c) => {
                let radix = matches!(self.kind, Some('x' | 'X' | 'b' | 'o'));
                let decimal = digits.chars().take_while(char::is_ascii_digit).count();
                let (end, size) = if radix { (digits.len(), 4) } else { (decimal, 3) };
                group(&digits, end, c, size, self.zero_width(head.chars().count(), digits.len() - end))
            }
            None => digits,
        };
        self.pad(&head, &body, Align::Right)
    }

    /// For zero fill with grouping: how wide the grouped digits must become.
    fn zero_width(&self, head: usize, tail: usize) -> usize {
        if self.fill == '0' && self.align == Some(Align::AfterSign) {
            self.width.saturating_sub(head + tail)
        } else {
            0
        }
    }

    fn pad(&self, head: &str, body: &str, default: Align) -> String {
        let len = head.chars().count() + body.chars().count();
        let room = self.width.saturating_sub(len);
        let fill = |n: usize| std::iter::repeat_n(self.fill, n).collect::<String>();
        match self.align.unwrap_or(default) {
            Align::Left => format!("{head}{body}{}", fill(room)),
            Align::Right => format!("{}{head}{body}", fill(room)),
            Align::Center => format!("{}{head}{body}{}", fill(room / 2), fill(room - room / 2)),
            Align::AfterSign => format!("{head}{}{body}", fill(room)),
        }
    }
}

/// Separators between groups of the first `end` digits, which zeros fill up to `width` characters.
fn group(digits: &str, end: usize, separator: char, size: usize, width: usize) -> String {
    let (whole, tail) = digits.split_at_checked(end).unwrap_or((digits, ""));
    let mut reversed = String::new();
    for (count, c) in whole.chars().rev().chain(std::iter::repeat_n('0', width)).enumerate() {
        let filling = count >= whole.len();
        if filling && reversed.chars().count() >= width {
            break;
        }
        if count > 0 && count % size == 0 {
            reversed.push(separator);
        }
        reversed.push(c);
    }
    reversed.chars().rev().chain(tail.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(spec: &str, x: f64) -> String {
        FormatSpec::parse(spec).and_then(|s| s.apply_float(x)).unwrap_or_else(|e| e.0.message.clone())
    }
    fn int(spec: &str, x: i64) -> String {
        FormatSpec::parse(spec).and_then(|s| s.apply_int(x)).unwrap_or_else(|e| e.0.message.clone())
    }
    fn text(spec: &str, s: &str) -> String {
        FormatSpec::parse(spec).and_then(|p| p.apply_str(s)).unwrap_or_else(|e| e.0.message.clone())
    }

    /// Expected values are Python's.
    #[test]
    fn like_python() {
        assert_eq!(float(".4f", 2.7654321), "2.7654");
        assert_eq!(float("8.3f", -1.5), "  -1.500");
        assert_eq!(float("+.1e", 12345.0), "+1.2e+04");
        assert_eq!(float("g", 0.00001234), "1.234e-05");
        assert_eq!(float(".3g", 1234.5), "1.23e+03");
        assert_eq!(float(".1%", 0.1234), "12.3%");
        assert_eq!(float("010.2f", -2.76543), "-000002.77");
        assert_eq!(float(",.2f", 1234567.891), "1,234,567.89");
        assert_eq!(float("^9.1f", 2.0), "   2.0   ");
        assert_eq!(float(".3", 2.76543), "2.77");
        assert_eq!(float(".2", 3.0), "3.0");
        assert_eq!(float("", 3.0), "3.0");
        assert_eq!(float("6", 2.5), "   2.5");
        assert_eq!(float(".0f", 2.5), "2");
        assert_eq!(float("f", f64::NAN), "nan");
        assert_eq!(float("8.2f", f64::NEG_INFINITY), "    -inf");
        assert_eq!(float("e", 0.0), "0.000000e+00");
        assert_eq!(int("4d", 42), "  42");
        assert_eq!(int("<4d", 42), "42  ");
        assert_eq!(int("04d", -42), "-042");
        assert_eq!(int(",", 1234567), "1,234,567");
        assert_eq!(int("_", 1234567), "1_234_567");
        assert_eq!(int("012,d", 1234567), "0,001,234,567");
        assert_eq!(int("x", 255), "ff");
        assert_eq!(int("#b", 5), "0b101");
        assert_eq!(int("_x", 0xfedcba), "fe_dcba");
        assert_eq!(int("*^7", 42), "**42***");
        assert_eq!(int("+d", 5), "+5");
        assert_eq!(int(".2f", 3), "3.00");
        assert_eq!(int("d", i64::MIN), "-9223372036854775808");
        assert_eq!(text(">5", "ab"), "   ab");
        assert_eq!(text("5", "ab"), "ab   ");
        assert_eq!(text(".1", "ab"), "a");
        assert_eq!(text("é^5s", "ab"), "éabéé");
    }

    #[test]
    fn bad_ones_are_errors() {
        for spec in ["q", ".", "5.2q", "d5", "99999999999999999999", ">>5x!"] {
            assert!(FormatSpec::parse(spec).is_err(), "{spec}");
        }
        assert!(float("d", 1.0).contains("does not fit"));
        assert!(int("s", 1).contains("does not fit"));
        assert!(text("f", "a").contains("does not fit"));
    }

    #[test]
    fn tensors_elementwise() {
        let t = Tensor::from_vec(&[2], vec![1.0f32, 0.25]);
        assert_eq!(FormatSpec::parse(".2f").unwrap().apply_tensor(&t).unwrap(), "[1.00, 0.25]");
        assert!(FormatSpec::parse("d").unwrap().apply_tensor(&t).is_err());
    }
}
