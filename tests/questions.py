"""What readers want to know of batch norm: eleven questions, each by words with which a page may ask it.

The patterns are read by Python and by browsers, to which Greek letters aren't parts of words.
"""

from __future__ import annotations

ELEVEN = {
    "what μ, σ, ε, γ and β do": "μ.*σ.*ε.*γ.*β",
    "how γ and β undo it": "γ and β undo",
    "batches of two and of one": r"[Bb]atch(es)? of (two|2|one|1)\b",
    "training against inference, running averages, momentum": r"\binference\b|running averages.*momentum",
    "before or after the activation, dense and convolutional": r"\b[Bb]efore or after\b",
    "gradients": r"\b[Gg]radients?\b",
    "learning rate": r"\b[Ll]earning rate\b",
    "initialization": r"\b[Ii]nitial(ization| weights)\b",
    "is it covariate shift": r"\b[Cc]ovariate shift\b",
    "regularization": r"\b[Rr]egulariz",
    "when not to use it": r"\bnot use it\b",
}
