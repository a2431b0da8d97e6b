//! Finding one value inside JSON text without building the rest of it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Into the member of this name.
    Member(&'a str),
    /// Into the item with this number, from 0.
    Item(u64),
}

/// The text of the value at the end of the path; `None` when there is none, or when `text` is not JSON.
pub(crate) fn find<'t>(text: &'t str, path: &[Step<'_>]) -> Option<&'t str> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = At(path).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    found.map(RawValue::get)
}

/// Reads one value whole, and keeps what lies at the end of the path inside of it.
#[derive(Clone, Copy)]
struct At<'p, 's>(&'p [Step<'s>]);

impl<'t> DeserializeSeed<'t> for At<'_, '_> {
    type Value = Option<&'t RawValue>;

    fn deserialize<D: Deserializer<'t>>(self, value: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => serde::Deserialize::deserialize(value).map(Some),
            [Step::Member(name), rest @ ..] => value.deserialize_any(Member { name, rest: At(rest) }),
            [Step::Item(number), rest @ ..] => {
                value.deserialize_any(Item { number: *number, rest: At(rest) })
            }
        }
    }
}

/// What every visitor answers to the kinds of values it does not go into: there is nothing there.
macro_rules! nothing_in {
    ($($method:ident($type:ty))*) => { $(
        fn $method<E: serde::de::Error>(self, _: $type) -> Result<Self::Value, E> {
            Ok(None)
        }
    )* };
}

struct Member<'p, 's> {
    name: &'p str,
    rest: At<'p, 's>,
}

impl<'t> Visitor<'t> for Member<'_, '_> {
    type Value = Option<&'t RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(Is(self.name))? {
            if wanted {
                found = map.next_value_seed(self.rest)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    nothing_in! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) }
}

struct Item<'p, 's> {
    number: u64,
    rest: At<'p, 's>,
}

impl<'t> Visitor<'t> for Item<'_, '_> {
    type Value = Option<&'t RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.number {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = items.next_element_seed(self.rest)?.flatten();
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    nothing_in! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) }
}

/// Whether a member's name is this one.
struct Is<'p>(&'p str);

impl<'t> DeserializeSeed<'t> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'t>>(self, key: D) -> Result<bool, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        // The name under which the reader hands out the digits of a number, as if it were an object.
        if key == "$serde_json::private::Number" && self.0 == key {
            return Err(E::custom("a number has no members"));
        }
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The same by building everything.
    fn plainly(value: &Value, path: &[Step<'_>]) -> Option<String> {
        let end = path.iter().try_fold(value, |value, step| match step {
            Step::Member(name) => value.as_object()?.get(*name),
            Step::Item(number) => value.as_array()?.get(usize::try_from(*number).ok()?),
        });
        end.map(Value::to_string)
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            "[a\"\\\\é\n]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab\"é]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    #[derive(Clone, Debug)]
    enum Owned {
        Member(String),
        Item(u64),
    }

    fn paths() -> impl Strategy<Value = Vec<Owned>> {
        let step = prop_oneof!["[ab\"é]{0,2}".prop_map(Owned::Member), (0u64..4).prop_map(Owned::Item)];
        prop::collection::vec(step, 0..4)
    }

    proptest! {
        #[test]
        fn every_path_finds_what_building_the_whole_value_finds(value in values(), path in paths()) {
            let steps: Vec<Step<'_>> = path.iter().map(|step| match step {
                Owned::Member(name) => Step::Member(name),
                Owned::Item(number) => Step::Item(*number),
            }).collect();
            let text = value.to_string();
            prop_assert_eq!(find(&text, &steps).map(str::to_owned), plainly(&value, &steps));
        }
    }

    #[test]
    fn text_that_is_not_json_holds_nothing_even_where_it_begins_well() {
        for text in ["", "{", r#"{"a":1"#, r#"{"a":1} x"#, r#"{"a":1,"b":}"#, "nul"] {
            assert_eq!(find(text, &[Step::Member("a")]), None, "{text}");
        }
    }

    #[test]
    fn the_last_of_two_members_of_one_name_counts() {
        assert_eq!(find(r#"{"a":1,"a":{"b":2}}"#, &[Step::Member("a"), Step::Member("b")]), Some("2"));
        assert_eq!(find(r#"{"a":{"b":2},"a":1}"#, &[Step::Member("a"), Step::Member("b")]), None);
    }

    #[test]
    fn a_number_is_no_object_whatever_the_reader_makes_of_it() {
        let text = json!({"a": 5}).to_string();
        let digits = Step::Member("$serde_json::private::Number");
        assert_eq!(find(&text, &[Step::Member("a"), digits]), None);
        assert_eq!(find(&text, &[Step::Member("a"), Step::Item(0)]), None);
    }
}
