//! Values to text.

use crate::value::Value;

pub fn display(value: &Value) -> String {
    value.type_name()
}

pub fn repr(value: &Value) -> String {
    value.type_name()
}
