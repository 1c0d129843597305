//! Names as file systems compare them that do not look at case, or at the form of letters. Each has rules of its own: NTFS and
//! exFAT have a table of capital letters, one for one; APFS and ext4 fold in full, whatever the form; ext4 leaves out what
//! cannot be seen as well. What is the same name to any of them is the same here: where that says too much, two names that could both
//! be written are refused, or a file system is asked in vain; where it said too little, one file would be lost.

use caseless::Caseless;
use unicode_normalization::{UnicodeNormalization, is_nfd};

/// The form that all names have which some file system takes for the same.
pub(crate) fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    // Capitals first, for those that only a table of capitals knows: `ı` is `I` there.
    let folded = name.nfd().flat_map(char::to_uppercase).default_case_fold();
    let mut letters = String::with_capacity(name.len());
    for letter in folded.filter(|letter| !is_unseen(*letter)).nfd() {
        // A capital with a dot is `i` where each letter has one small letter.
        if !(letter == '\u{307}' && letters.ends_with('i')) {
            letters.push(letter);
        }
    }
    letters
}

/// Whether two names differ in nothing but the form of their letters: which of them it is, some file systems choose themselves.
pub(crate) fn is_other_form(name: &str, other: &str) -> bool {
    name != other && name.nfc().eq(other.nfc())
}

/// Whether a name is one that a file system can have stored which decomposes all letters.
pub(crate) fn is_decomposed(name: &str) -> bool {
    name.is_ascii() || is_nfd(name)
}

/// What Unicode calls ignorable by default.
fn is_unseen(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_file_system_takes_for_the_same_is_the_same() {
        for [one, other] in [
            ["README", "Readme"],
            ["\u{c4}", "\u{e4}"],
            ["\u{c4}", "a\u{308}"],
            ["Stra\u{df}e", "STRASSE"],
            ["Stra\u{1e9e}e", "strasse"],
            // Small sigmas, at the end and elsewhere.
            ["\u{3c3}\u{3bf}\u{3c2}", "\u{3a3}\u{39f}\u{3a3}"],
            ["\u{3c3}\u{3bf}\u{3c2}", "\u{3c3}\u{3bf}\u{3c3}"],
            // With dots and without.
            ["\u{130}", "i"],
            ["\u{130}", "i\u{307}"],
            ["\u{131}", "I"],
            // A long s, the sign of kelvin, a ligature, letters of which one is a capital in part.
            ["go\u{17f}ync", "gosync"],
            ["\u{212a}ept", "kept"],
            ["\u{fb01}le", "FILE"],
            ["\u{1c5}", "\u{1c6}"],
            // An iota below, behind another mark or before it.
            ["\u{3b1}\u{345}\u{301}", "\u{391}\u{301}\u{399}"],
            ["so\u{ad}ft", "soft"],
            ["a\u{200d}b\u{fe0f}", "ab"],
        ] {
            assert_eq!(folded(one), folded(other), "{one:?} {other:?}");
            assert_eq!(folded(&folded(one)), folded(one), "{one:?}");
        }
    }

    #[test]
    fn what_no_file_system_takes_for_the_same_is_not() {
        for [one, other] in [["a", "b"], ["a", "\u{e4}"], ["e\u{301}", "e\u{300}"], ["o\u{307}", "o"], ["\u{df}", "s"]]
        {
            assert_ne!(folded(one), folded(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn forms_of_letters_are_told_from_case() {
        assert!(
            is_other_form("\u{c4}", "A\u{308}") && !is_other_form("\u{c4}", "a\u{308}") && !is_other_form("a", "a")
        );
        assert!(is_decomposed("A\u{308}") && is_decomposed("a") && !is_decomposed("\u{c4}"));
    }
}
