//! What holds a row of the table: functions with a point and numbers, or whole programs.

/// One check of a row.
#[derive(Clone, Debug)]
pub struct Pin {
    /// Operation and point, as in `rows.txt`.
    pub row: &'static str,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Slopes {
        /// A dlang function of one argument (a tuple of several).
        f: &'static str,
        /// The argument in dlang; empty if it is the scalars of `point`.
        at: &'static str,
        point: &'static [f64],
        value: &'static [f64],
        /// Of the sum of the result, all parts one after the other.
        gradient: &'static [f64],
        second: Option<&'static [f64]>,
        /// Where forward mode differs.
        forward: Option<&'static [f64]>,
        /// Also on tensors of two equal elements.
        lifted: bool,
        /// Not in f32, which cannot hold the numbers.
        wide: bool,
    },
    Fails {
        program: &'static str,
        code: &'static str,
    },
    Warns {
        program: &'static str,
        code: &'static str,
    },
    Prints {
        program: &'static str,
        output: &'static str,
    },
}

type Numbers = &'static [f64];

fn slopes(row: &'static str, f: &'static str, value: Numbers, gradient: Numbers) -> Pin {
    let kind = Kind::Slopes {
        f,
        at: "",
        point: &[],
        value,
        gradient,
        second: None,
        forward: None,
        lifted: false,
        wide: false,
    };
    Pin { row, kind }
}

/// A function of scalars that also takes tensors element by element.
pub fn each(row: &'static str, f: &'static str, at: Numbers, values: Numbers, gradients: Numbers) -> Pin {
    let mut pin = scalar(row, f, at, values, gradients);
    if let Kind::Slopes { lifted, .. } = &mut pin.kind {
        *lifted = true;
    }
    pin
}

/// A function of scalars only.
pub fn scalar(row: &'static str, f: &'static str, at: Numbers, value: Numbers, gradient: Numbers) -> Pin {
    let mut pin = slopes(row, f, value, gradient);
    if let Kind::Slopes { point, .. } = &mut pin.kind {
        *point = at;
    }
    pin
}

/// A function of tensors.
pub fn whole(row: &'static str, f: &'static str, source: &'static str, value: Numbers, gradient: Numbers) -> Pin {
    let mut pin = slopes(row, f, value, gradient);
    if let Kind::Slopes { at, .. } = &mut pin.kind {
        *at = source;
    }
    pin
}

/// A program that ends with an error whose code or text has `code` in it.
pub fn fails(row: &'static str, program: &'static str, code: &'static str) -> Pin {
    Pin { row, kind: Kind::Fails { program, code } }
}

/// A program that gets a warning whose code or text has `code` in it.
pub fn warns(row: &'static str, program: &'static str, code: &'static str) -> Pin {
    Pin { row, kind: Kind::Warns { program, code } }
}

/// A program that prints this.
pub fn prints(row: &'static str, program: &'static str, output: &'static str) -> Pin {
    Pin { row, kind: Kind::Prints { program, output } }
}

impl Pin {
    /// With a second derivative, row by row.
    pub fn second(mut self, numbers: Numbers) -> Pin {
        if let Kind::Slopes { second, .. } = &mut self.kind {
            *second = Some(numbers);
        }
        self
    }

    /// With another gradient in forward mode.
    pub fn forward(mut self, numbers: Numbers) -> Pin {
        if let Kind::Slopes { forward, .. } = &mut self.kind {
            *forward = Some(numbers);
        }
        self
    }

    /// In f64 only.
    pub fn wide(mut self) -> Pin {
        if let Kind::Slopes { wide, .. } = &mut self.kind {
            *wide = true;
        }
        self
    }
}

/// A number as dlang writes it.
pub fn literal(x: &f64) -> String {
    if x.is_nan() { "nan".into() } else { format!("{x:?}") }
}

/// One item as it is, several as a tuple.
pub fn tuple(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.as_slice() {
        [one] => one.clone(),
        more => format!("({})", more.join(", ")),
    }
}
