//! The rows of the draft after the window's width has changed.

use unicode_width::UnicodeWidthChar;

/// Returns the output that removes the draft from the screen before the line editor redraws it for the new width.
///
/// The editor clears as many rows upwards as the draft had at the old width. Most terminals have meanwhile wrapped the draft
/// anew, and in a wider window the rows above it are messages. This output clears the draft from its first row, and moves
/// the cursor down so that the editor clears only empty rows. Terminals that do not wrap anew keep the old rows; on these,
/// and in a narrower window, the beginning of the draft can stay on the screen, but no message is lost.
pub fn erase_draft(text: &str, cursor: usize, old_columns: usize, columns: usize) -> String {
    let old_cursor_row = last_row(&text[..cursor], old_columns);
    let old_rows = last_row(text, old_columns);
    let first_row = old_cursor_row.min(last_row(&text[..cursor], columns));
    // Up to the first row, erase to the end of the screen.
    up(first_row) + "\r\x1b[J" + &"\n".repeat(old_rows) + &up(old_rows - old_cursor_row)
}

fn up(rows: usize) -> String {
    match rows {
        0 => String::new(),
        rows => format!("\x1b[{rows}A"),
    }
}

/// Returns the row of the cursor after the text. A full row moves it to the next one.
fn last_row(text: &str, columns: usize) -> usize {
    let (mut row, mut column) = (0, 0);
    for c in text.chars() {
        let width = match c {
            '\n' => {
                (row, column) = (row + 1, 0);
                continue;
            }
            // The line editor's tab stops.
            '\t' => 8 - column % 8,
            _ => c.width().unwrap_or(0),
        };
        column += width;
        if column > columns {
            (row, column) = (row + 1, width);
        }
    }
    row + usize::from(column == columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_wide_characters_and_line_breaks() {
        for (text, columns, row) in [
            ("", 10, 0),
            ("123456789", 10, 0),
            ("1234567890", 10, 1),
            ("12345678901", 10, 1),
            ("日本語日", 10, 0),
            ("日本語日本", 10, 1),
            ("1日本語日本", 10, 1),
            ("1\n2\n3", 10, 2),
            ("e\u{301}".repeat(9).as_str(), 10, 0),
            ("1234\t\t", 10, 1),
        ] {
            assert_eq!(last_row(text, columns), row, "{text:?}");
        }
    }

    #[test]
    fn draft_is_erased_from_its_first_row_at_either_width() {
        let text = "x".repeat(35);
        assert_eq!(erase_draft(&text, 35, 10, 20), "\x1b[1A\r\x1b[J\n\n\n");
        assert_eq!(erase_draft(&text, 35, 20, 10), "\x1b[1A\r\x1b[J\n");
        assert_eq!(erase_draft(&text, 12, 10, 20), "\r\x1b[J\n\n\n\x1b[2A");
    }
}
