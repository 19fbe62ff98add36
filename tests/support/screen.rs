//! A terminal's screen as far as the client uses one, for tests of what the user sees. Like most terminals, it wraps its
//! lines anew when its width changes.

use unicode_width::UnicodeWidthChar;

const ROWS: usize = 24;

/// The second column of a wide character.
const WIDE: char = '\0';

#[derive(Default)]
struct Row {
    cells: Vec<char>,
    /// The text continues in the next row.
    wrapped: bool,
}

/// The screen with everything that has scrolled out of it.
pub struct Screen {
    rows: Vec<Row>,
    columns: usize,
    /// Row and column of the cursor. The column is that after the last one if the next character wraps.
    cursor: (usize, usize),
}

impl Screen {
    pub fn new(columns: usize) -> Screen {
        Screen {
            rows: vec![Row::default()],
            columns,
            cursor: (0, 0),
        }
    }

    /// Returns the rows without the spaces at their ends.
    pub fn text(&self) -> Vec<String> {
        let text = |row: &Row| row.cells.iter().filter(|&&c| c != WIDE).collect::<String>();
        let rows = self.rows.iter();
        rows.map(|row| text(row).trim_end().to_owned()).collect()
    }

    pub fn write(&mut self, output: &str) {
        let mut chars = output.chars();
        while let Some(c) = chars.next() {
            match c {
                '\x1b' => {
                    assert_eq!(chars.next(), Some('['), "only CSI sequences are known");
                    let is_parameter = |c: &char| !('@'..='~').contains(c);
                    let mut parameters = String::new();
                    let end = loop {
                        match chars.next().expect("the sequence ends") {
                            c if is_parameter(&c) => parameters.push(c),
                            c => break c,
                        }
                    };
                    self.control(end, &parameters);
                }
                '\r' => self.cursor.1 = 0,
                '\n' => self.move_to_row(self.cursor.0 + 1),
                '\x07' => {}
                c => self.put(c),
            }
        }
    }

    fn control(&mut self, end: char, parameters: &str) {
        let count = parameters.parse().unwrap_or(1);
        let top = self.rows.len().saturating_sub(ROWS);
        let (row, column) = self.cursor;
        match end {
            'A' => self.cursor.0 = row.saturating_sub(count).max(top),
            'B' => self.move_to_row((row + count).min(top + ROWS - 1)),
            'C' => self.cursor.1 = (column + count).min(self.columns - 1),
            'D' => self.cursor.1 = column.saturating_sub(count),
            'H' => self.cursor = (top, 0),
            'J' => {
                self.rows.truncate(row + 1);
                self.erase_to_end_of_row();
            }
            'K' => self.erase_to_end_of_row(),
            'h' | 'l' | 'm' => {}
            _ => panic!("unknown sequence CSI {parameters}{end}"),
        }
    }

    fn erase_to_end_of_row(&mut self) {
        let (row, column) = self.cursor;
        self.rows[row].cells.truncate(column);
        self.rows[row].wrapped = false;
    }

    fn move_to_row(&mut self, row: usize) {
        self.cursor.0 = row;
        while self.rows.len() <= row {
            self.rows.push(Row::default());
        }
    }

    fn put(&mut self, c: char) {
        let width = c.width().expect("the character is printable");
        if self.cursor.1 + width > self.columns {
            self.rows[self.cursor.0].wrapped = true;
            self.move_to_row(self.cursor.0 + 1);
            self.cursor.1 = 0;
        }
        let (row, column) = self.cursor;
        let cells = &mut self.rows[row].cells;
        while cells.len() < column + width {
            cells.push(' ');
        }
        for (cell, c) in cells[column..].iter_mut().zip([c, WIDE]).take(width) {
            *cell = c;
        }
        self.cursor.1 += width;
    }

    pub fn resize(&mut self, columns: usize) {
        let (lines, cursor) = std::mem::replace(self, Screen::new(columns)).take_lines();
        let mut new_cursor = (0, 0);
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                self.move_to_row(self.rows.len());
                self.cursor.1 = 0;
            }
            for offset in 0..=line.len() {
                if (number, offset) == cursor {
                    new_cursor = self.cursor;
                }
                match line.get(offset) {
                    Some(&WIDE) | None => {}
                    Some(&c) => self.put(c),
                }
            }
        }
        self.cursor = new_cursor;
    }

    /// Returns the lines before they were wrapped, and the cursor's line and offset.
    fn take_lines(self) -> (Vec<Vec<char>>, (usize, usize)) {
        let (mut lines, mut cursor, mut continues) = (Vec::<Vec<char>>::new(), (0, 0), false);
        for (number, row) in self.rows.into_iter().enumerate() {
            if !continues {
                lines.push(Vec::new());
            }
            let index = lines.len() - 1;
            if number == self.cursor.0 {
                cursor = (index, lines[index].len() + self.cursor.1);
            }
            lines[index].extend(row.cells);
            continues = row.wrapped;
        }
        // The cursor can be after the end of its line.
        let (line, offset) = cursor;
        let missing = offset.saturating_sub(lines[line].len());
        lines[line].extend(std::iter::repeat_n(' ', missing));
        (lines, cursor)
    }
}
