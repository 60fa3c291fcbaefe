//! Owns how a value that is written as text travels: JSON, OpenAPI schema, parameters and headers, all through `FromStr` and `Display`.

/// Gives a type that has `Display` and `FromStr` its codecs: serde, and the poem-openapi traits with
/// the schema that clients see. A text that does not parse is refused at the edge, with the reason.
#[macro_export]
macro_rules! text_codec {
    ($name:ident { pattern: $pattern:expr, max_length: $max:expr, example: $example:expr }) => {
        $crate::text_codec!(
            $name = ::poem_openapi::registry::MetaSchema {
                pattern: Some(String::from($pattern)),
                max_length: Some($max),
                example: Some(::serde_json::Value::String(String::from($example))),
                ..::poem_openapi::registry::MetaSchema::new("string")
            }
        );
    };
    // A format that everybody knows says more than a pattern.
    ($name:ident { format: $format:literal, example: $example:expr }) => {
        $crate::text_codec!(
            $name = ::poem_openapi::registry::MetaSchema {
                example: Some(::serde_json::Value::String(String::from($example))),
                ..::poem_openapi::registry::MetaSchema::new_with_format("string", $format)
            }
        );
    };
    ($name:ident = $schema:expr) => {
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <::std::borrow::Cow<'de, str> as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }

        impl ::poem_openapi::types::Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> ::std::borrow::Cow<'static, str> {
                concat!("string_", stringify!($name)).into()
            }

            fn schema_ref() -> ::poem_openapi::registry::MetaSchemaRef {
                ::poem_openapi::registry::MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self::RawValueType> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
                Box::new(self.as_raw_value().into_iter())
            }
        }

        impl ::poem_openapi::types::ParseFromJSON for $name {
            fn parse_from_json(value: Option<::serde_json::Value>) -> ::poem_openapi::types::ParseResult<Self> {
                match value.unwrap_or_default() {
                    ::serde_json::Value::String(text) => {
                        text.parse().map_err(::poem_openapi::types::ParseError::custom)
                    }
                    // The value itself stays out of the message: it may be a secret in the wrong field.
                    _ => Err(::poem_openapi::types::ParseError::custom("expected a string")),
                }
            }
        }

        impl ::poem_openapi::types::ParseFromParameter for $name {
            fn parse_from_parameter(value: &str) -> ::poem_openapi::types::ParseResult<Self> {
                value.parse().map_err(::poem_openapi::types::ParseError::custom)
            }
        }

        impl ::poem_openapi::types::ToJSON for $name {
            fn to_json(&self) -> Option<::serde_json::Value> {
                Some(::serde_json::Value::String(self.to_string()))
            }
        }

        impl ::poem_openapi::types::ToHeader for $name {
            fn to_header(&self) -> Option<::poem::http::HeaderValue> {
                ::poem::http::HeaderValue::from_str(&self.to_string()).ok()
            }
        }
    };
}

/// A text with a rule: a newtype over `String` that only parsing makes.
#[macro_export]
macro_rules! text {
    ($(#[$meta:meta])* $name:ident { pattern: $pattern:expr, max_length: $max:expr, example: $example:expr, rule: $rule:expr }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The longest text that is accepted, in bytes.
            pub const MAX_LENGTH: usize = $max;

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::codec::InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let rule: fn(&str) -> bool = $rule;
                if text.is_empty() || text.len() > $max || !rule(text) {
                    return Err($crate::codec::InvalidText { what: stringify!($name), pattern: $pattern, max_length: $max });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        $crate::text_codec!($name { pattern: $pattern, max_length: $max, example: $example });
    };
}

/// A text does not have the form that its type asks for. The text itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: it must match {pattern} and have at most {max_length} bytes")]
pub struct InvalidText {
    /// The type that was wanted.
    pub what: &'static str,
    /// Its regular expression.
    pub pattern: &'static str,
    /// Its longest form, in bytes.
    pub max_length: usize,
}
