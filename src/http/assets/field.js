// An input field with the error that its input caused.

export class Field {
  #error;
  #cause = ''; // The type of the command that was refused.
  #restored = ''; // The refused input that was put back.

  constructor(formId, inputId, errorId) {
    this.form = document.getElementById(formId);
    this.input = document.getElementById(inputId);
    this.#error = document.getElementById(errorId);
  }

  get value() {
    return this.input.value;
  }

  // Sets the text, with the event that typing would cause.
  set value(text) {
    this.input.value = text;
    this.input.dispatchEvent(new Event('input'));
  }

  showError(error, cause = '') {
    this.#error.textContent = error;
    this.#cause = cause;
    this.input.setAttribute('aria-invalid', 'true');
  }

  shows(error) {
    return this.#error.textContent === error;
  }

  clearError() {
    this.#error.textContent = '';
    this.#cause = '';
    this.#restored = '';
    this.input.removeAttribute('aria-invalid');
  }

  // Removes the error of a command of this type, with its input, because a later command has succeeded.
  clearErrorOf(cause) {
    if (this.#cause !== cause) return;
    if (this.value === this.#restored) this.value = '';
    this.clearError();
  }

  // Puts refused input back in place of `replaced`, unless the user has typed something else. Returns whether it did.
  restore(text, replaced) {
    if (this.value !== '' && this.value !== replaced) return false;
    this.#restored = text;
    this.value = text;
    return true;
  }
}
