//! Percent-encoding of values in a query (RFC 3986, section 2.1).

/// Returns the decoded text, or `None` if an escape is incomplete or the text is not UTF-8.
pub fn percent_decode(encoded: &str) -> Option<String> {
    let mut parts = encoded.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        // The parser of numbers would accept a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Returns a text that is valid as a value in a query.
pub fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_encoding_and_decoding() {
        for text in ["", "alice", "Jürgen", "a b&c=d%+#", "עברית 👩", "\0\r\n"] {
            let encoded = percent_encode(text);
            assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(!encoded.contains(['&', '=', '#', '+']), "{encoded}");
            assert_eq!(percent_decode(&encoded).as_deref(), Some(text));
        }
        assert_eq!(percent_decode("J%c3%BCrgen").as_deref(), Some("Jürgen"));
    }

    #[test]
    fn broken_escapes_and_other_encodings_are_refused() {
        for encoded in [
            "%",
            "a%4",
            "%zz",
            "%+f",
            "%ü",
            "%fc",
            "J%FCrgen",
            "%ed%a0%80",
        ] {
            assert_eq!(percent_decode(encoded), None, "{encoded}");
        }
    }
}
