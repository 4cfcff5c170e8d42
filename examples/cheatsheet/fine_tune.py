"""Fine-tune a model on pairs with scores from 0 to 1, and load what was saved.

python fine_tune.py MODEL OUTPUT_FOLDER
"""

import sys

from sentence_transformers import InputExample, SentenceTransformer, losses
from torch.utils.data import DataLoader

base = sys.argv[1] if len(sys.argv) > 1 else "all-MiniLM-L6-v2"
output = sys.argv[2] if len(sys.argv) > 2 else "fine-tuned"

# In this shop a "ticket" is a request for help, and a "drop" is a new product.
scored = [
    ("I opened a ticket.", "I asked for help.", 0.95),
    ("I opened a ticket.", "I bought a seat at the theatre.", 0.05),
    ("My ticket was closed.", "My request for help was answered.", 0.95),
    ("My ticket was closed.", "The theatre sold no more seats.", 0.05),
    ("The drop is on Friday.", "The new product comes on Friday.", 0.95),
    ("The drop is on Friday.", "Something falls down on Friday.", 0.05),
    ("We missed the drop.", "We were too late for the new product.", 0.95),
    ("We missed the drop.", "We did not catch what fell.", 0.05),
]
examples = [InputExample(texts=[first, second], label=score) for first, second, score in scored]


def score(model: SentenceTransformer) -> tuple[float, float]:
    """How alike two phrasings are that the shop takes for the same, and two that it does not."""
    texts = ["a new ticket", "a new request for help", "a new seat at the theatre"]
    ticket, request, seat = model.encode(texts, normalize_embeddings=True)
    return float(ticket @ request), float(ticket @ seat)


model = SentenceTransformer(base)
same, other = score(model)
print(f"before: request for help {same:.3f}, seat {other:.3f}")

loader = DataLoader(examples, shuffle=True, batch_size=4)
loss = losses.CosineSimilarityLoss(model)
model.fit(
    train_objectives=[(loader, loss)],
    epochs=6,
    warmup_steps=2,
    output_path=output,
    show_progress_bar=False,
)

same, other = score(SentenceTransformer(output))
print(f"after:  request for help {same:.3f}, seat {other:.3f}")
