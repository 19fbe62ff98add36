use super::super::name_error::MAX_NAME_LEN;
use super::*;

fn refused(name: &str) -> NameError {
    normalize_name(name).expect_err(name)
}

#[test]
fn malformed_and_reserved_names_are_refused() {
    let longest = "x".repeat(MAX_NAME_LEN);
    for name in [
        "a", "Alice", "a-b_c", "007", "user", "user0x", "users1", "yourself", &longest,
    ] {
        assert_eq!(normalize_name(name).as_deref(), Ok(name));
    }
    let too_long = "x".repeat(MAX_NAME_LEN + 1);
    for name in ["", " ", "a b", "a.b", "a\n", "[x]", "a\0", "a+b", &too_long] {
        assert_eq!(refused(name), NameError::InvalidFormat, "{name:?}");
    }
    for name in [
        "user0",
        "USER17",
        "You",
        "server",
        "SERVER",
        "user00000000000000000000",
    ] {
        assert_eq!(refused(name), NameError::Reserved, "{name}");
    }
}

#[test]
fn upper_and_lower_case_are_one_name() {
    assert_eq!(fold_name("ALICE-7"), "alice-7");
    assert_eq!(name_looks("Alice")[0], name_looks("aLICE")[0]);
    assert_ne!(name_looks("alice")[0], name_looks("alicia")[0]);
}

#[cfg(not(feature = "unicode-names"))]
#[test]
fn names_are_ascii() {
    for name in ["é", "Jürgen", "аlice", "日本"] {
        assert_eq!(refused(name), NameError::InvalidFormat, "{name}");
    }
    // Without the tables nothing looks the same.
    assert_eq!(normalize_name("userl").as_deref(), Ok("userl"));
}

#[cfg(feature = "unicode-names")]
mod unicode {
    use super::*;
    use crate::text::sanitize;

    fn look_alike(one: &str, other: &str) -> bool {
        let looks = name_looks(other);
        name_looks(one).iter().any(|look| looks.contains(look))
    }

    #[test]
    fn names_are_letters_marks_and_digits_of_any_script() {
        for name in [
            "Jürgen",
            "Zoë",
            "Łukasz",
            "İbrahim",
            "Иван",
            "Ελένη",
            "日本",
            "田中さん",
            "カー",
            "김철수",
            "สมชาย",
            "नरेन्द्र",
            "থেকে",
            "தமிழ்",
            "မြို့",
            "ཀྵ",
            "Việt",
            "דוד",
            "שָׁלוֹם",
            "ދިވެހި",
            "مُحَمَّد",
            "محمد",
            "محمد٣",
            "علی-رضا",
            "५",
            "𠀀",
            "Ꭰ",
            "ß",
            "〇",
        ] {
            assert_eq!(normalize_name(name).as_deref(), Ok(name));
        }
        let longest = "ü".repeat(MAX_NAME_LEN);
        assert_eq!(normalize_name(&longest).as_deref(), Ok(&*longest));
        for name in [
            "a·b",
            "l·l",
            "a’b",
            "a\u{a0}b",
            "日・本",
            "①",
            "ﬁ",
            "Ⓐ",
            "🅰",
            "👩",
            "™",
            "½",
            "a\u{2010}b",
            "a\u{ff1a}",
            "“x”",
            "a\u{2028}",
            "\u{fffd}",
            "\u{e000}",
            "ⅷ",
        ] {
            assert_eq!(refused(name), NameError::InvalidFormat, "{name:?}");
        }
        assert_eq!(refused(&(longest + "x")), NameError::InvalidFormat);
    }

    #[test]
    fn a_name_has_one_form() {
        for (typed, name) in [
            ("Ju\u{308}rgen", "Jürgen"),
            ("ｊｉｍ７", "jim7"),
            ("ｶﾞ", "ガ"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("Å\u{323}", "Ạ\u{30a}"),
        ] {
            assert_eq!(normalize_name(typed).as_deref(), Ok(name));
        }
    }

    #[test]
    fn spellings_of_one_name_are_folded() {
        for (one, other) in [
            ("JÜRGEN", "ju\u{308}rgen"),
            ("STRASSE", "straße"),
            ("STRAẞE", "strasse"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ИВАН", "иван"),
            ("ﾊﾝｺ", "ハンコ"),
            ("İ", "i\u{307}"),
            ("ᾼ", "αι"),
            ("ᲐᲑ", "აბ"),
            ("Ꭰ", "ꭰ"),
        ] {
            assert_eq!(fold_name(one), fold_name(other), "{one} {other}");
            assert_eq!(fold_name(&fold_name(one)), fold_name(one));
            assert_eq!(name_looks(one)[0], name_looks(other)[0], "{one} {other}");
        }
        for (one, other) in [("jurgen", "jürgen"), ("иван", "ivan"), ("か", "が")] {
            assert_ne!(fold_name(one), fold_name(other));
            assert!(!look_alike(one, other), "{one} {other}");
        }
    }

    #[test]
    fn names_that_look_the_same_share_a_look() {
        for (one, other) in [
            ("alice", "аlice"),
            ("alice", "ALIСE"),
            ("Alice", "AIice"),
            ("ALICE", "Al\u{456}ce"),
            ("mary", "rnary"),
            ("mary", "Мary"),
            ("MARY", "Μary"),
            ("bob", "b0b"),
            ("BOB", "ВОВ"),
            ("annal", "anna1"),
            ("ilona", "i\u{307}lona"),
            ("scope", "ѕсоре"),
            ("カ", "力"),
        ] {
            assert!(look_alike(one, other), "{one} {other}");
            assert_ne!(fold_name(one), fold_name(other), "{one} {other}");
        }
        for (one, other) in [
            ("alice", "alicé"),
            ("bill", "bi-ll"),
            ("n1", "n2"),
            ("anne", "anna"),
        ] {
            assert!(!look_alike(one, other), "{one} {other}");
        }
    }

    #[test]
    fn names_that_look_reserved_are_refused() {
        for name in [
            "usеr7", "uѕer7", "ｕser7", "UsEr7", "user७", "userl0", "userO", "userI", "UserΟ",
            "yоu", "y0u", "ѕerver", "SЕRVER",
        ] {
            assert_eq!(refused(name), NameError::Reserved, "{name}");
        }
        for name in ["пользователь7", "userb", "usér7", "usеr"] {
            assert_eq!(normalize_name(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn right_to_left_names_have_one_direction() {
        for name in ["٣", "דוד-", "7דוד", "aדוד", "דודa", "-דוד", "محمد_", "abc٣"]
        {
            assert_eq!(refused(name), NameError::InvalidDirection, "{name}");
        }
        assert_eq!(refused("דוד!"), NameError::InvalidFormat);
        for name in ["דוד7", "דוד_כהן"] {
            assert_eq!(normalize_name(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn marks_are_few_and_on_a_letter() {
        let marks = |marks: &str| format!("x{marks}y");
        assert!(normalize_name(&marks("\u{300}\u{301}\u{302}\u{303}")).is_ok());
        for name in [
            &marks("\u{300}\u{301}\u{302}\u{303}\u{304}"),
            &marks("\u{301}\u{301}"),
            // A composed letter has a mark already.
            "é\u{301}",
            "\u{301}x",
            "\u{20dd}",
            "é\u{300}\u{302}\u{303}\u{304}",
        ] {
            assert_eq!(refused(name), NameError::InvalidFormat, "{name:?}");
        }
    }

    #[test]
    fn every_character_that_is_accepted_is_visible_and_stays() {
        // The characters of Chinese and Korean are too many, and alike.
        let is_alike = |c: &char| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{20000}'..);
        for c in ('\0'..=char::MAX).filter(|c| !is_alike(c)) {
            for name in [
                format!("{c}"),
                format!("a{c}"),
                format!("a{c}b"),
                format!("א{c}"),
            ] {
                let Ok(accepted) = normalize_name(&name) else {
                    continue;
                };
                assert_eq!(sanitize(&accepted), accepted, "{c:?}");
                assert_eq!(
                    normalize_name(&accepted).as_deref(),
                    Ok(&*accepted),
                    "{c:?}"
                );
                assert_eq!(fold_name(&accepted), fold_name(&name), "{c:?}");
                assert!(!accepted.contains(|c: char| {
                    c.is_whitespace()
                        || c.is_control()
                        || (c.is_ascii_punctuation() && c != '_' && c != '-')
                }));
                let folded = fold_name(&accepted);
                assert_eq!(fold_name(&folded), folded, "{c:?}");
                for case in [accepted.to_lowercase(), accepted.to_uppercase()] {
                    assert_eq!(fold_name(&case), folded, "{c:?}");
                    assert_eq!(name_looks(&case)[0], name_looks(&accepted)[0], "{c:?}");
                }
            }
        }
    }

    #[test]
    fn long_names_are_refused_at_once() {
        let started = std::time::Instant::now();
        for name in ["٣", "\u{301}", "é", "ﷺ", "a\u{301}"] {
            assert_eq!(refused(&name.repeat(1 << 20)), NameError::InvalidFormat);
        }
        assert!(started.elapsed().as_secs() < 10);
    }
}
