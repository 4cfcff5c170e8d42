"""The inside of a model as torch code of v1 and v2 reached for it."""

import copy
import pickle
from collections import OrderedDict
from functools import cache

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, models, util
from steps import EXACT, SENTENCES, bert, fill, run, scratch, step, tiny
from torch import nn

S = SENTENCES


def new():
    return SentenceTransformer(tiny(), device="cpu", model_kwargs=EXACT)


@cache
def model():
    return new()


@step
def first_and_last_module():
    return type(model()._first_module()), type(model()._last_module()), model()._first_module() is model()[0]


@step
def modules_are_an_ordered_dict_by_number():
    return list(model()._modules), [type(one) for one in model()._modules.values()], len(model())


@step
def auto_model_is_transformers():
    auto = model()[0].auto_model
    return type(auto), auto.config.hidden_size, auto.config.num_hidden_layers, type(auto.config)


@step
def tokenizer_is_transformers():
    tokenizer = model().tokenizer
    found = tokenizer(S[:2], padding=True, truncation=True, return_tensors="pt")
    return sorted(found), found["input_ids"], len(tokenizer), tokenizer.vocab_size, tokenizer.model_max_length


@step
def tokenizer_speaks_of_words():
    tokenizer = model().tokenizer
    ids = tokenizer.encode(S[0])
    return (
        tokenizer.tokenize("a cat sat"),
        ids,
        tokenizer.decode(ids),
        tokenizer.convert_ids_to_tokens(ids),
        tokenizer.convert_tokens_to_ids(["cat", "dog"]),
    )


@step
def special_tokens():
    tokenizer = model().tokenizer
    return (
        tokenizer.pad_token,
        tokenizer.cls_token_id,
        tokenizer.sep_token,
        tokenizer.mask_token,
        tokenizer.unk_token_id,
    )


@step
def tokenize_gives_features():
    found = model().tokenize(S[:3])
    return {name: one for name, one in found.items() if isinstance(one, torch.Tensor)}


@step
def device_is_a_torch_device():
    return model().device, model().device == torch.device("cpu"), model().device.type, model()._target_device


@step
def dtype_is_a_torch_dtype():
    return next(model().parameters()).dtype, model().dtype == torch.float32


@step
def max_seq_length_can_be_set():
    one = new()
    before = one.max_seq_length
    one.max_seq_length = 5
    return (
        before,
        one.max_seq_length,
        one.get_max_seq_length(),
        one[0].max_seq_length,
        one.tokenize(S[:2])["input_ids"].shape,
    )


@step
def a_shorter_length_changes_the_vectors():
    one = new()
    one.max_seq_length = 4
    return one.encode(S[:3])


@step
def counts_parameters():
    total = sum(p.numel() for p in model().parameters())
    return total, sum(p.numel() for p in model().parameters() if p.requires_grad)


@step
def names_of_parameters():
    names = [name for name, _ in model().named_parameters()]
    return names[:3], len(names), names[-1]


@step
def state_dict_goes_round():
    one, two = (
        new(),
        SentenceTransformer(modules=[models.Transformer(bert(), model_args=EXACT), models.Pooling(24)]),
    )
    fill(two)
    found = two.load_state_dict(one.state_dict())
    return str(found), list(one.state_dict())[:2], bool(np.allclose(one.encode(S), two.encode(S), atol=1e-2))


@step
def a_state_dict_on_disk():
    torch.save(new().state_dict(), scratch("state.pt"))
    one = new()
    fill(one)
    changed = one.encode(S[0])
    one.load_state_dict(torch.load(scratch("state.pt")))
    return changed, one.encode(S[0])


@step
def a_whole_model_on_disk():
    torch.save(new(), scratch("model.pt"))
    one = torch.load(scratch("model.pt"), weights_only=False)
    return type(one).__name__, one.encode(S[:2])


@step
def pickled_and_copied():
    one = pickle.loads(pickle.dumps(model()))
    two = copy.deepcopy(model())
    fill(two[0])
    return one.encode(S[:2]), bool(np.allclose(two.encode(S[0]), one.encode(S[0]), atol=1e-2))


@step
def embeds_by_hand():
    one = new()
    one.eval()
    features = util.batch_to_device(one.tokenize(S[:4]), one.device)
    with torch.no_grad():
        out = one(features)
    return out["sentence_embedding"], out["token_embeddings"].shape, sorted(out)


@step
def embeds_module_by_module():
    one = new()
    features = one.tokenize(S[:2])
    for module in one:
        features = module(features)
    return features["sentence_embedding"]


@step
def forward_through_the_transformer_alone():
    features = model().tokenize(S[:2])
    out = model()[0].auto_model(input_ids=features["input_ids"], attention_mask=features["attention_mask"])
    return out.last_hidden_state, out[0].shape


@step
def freezes_layers():
    one = new()
    for name, parameter in one.named_parameters():
        if "layer.1" not in name:
            parameter.requires_grad = False
    return sum(p.requires_grad for p in one.parameters())


@step
def freezes_the_embeddings():
    one = new()
    auto = one._first_module().auto_model
    for parameter in auto.embeddings.parameters():
        parameter.requires_grad = False
    loss = one(one.tokenize(S[:2]))["sentence_embedding"].sum()
    loss.backward()
    return (
        auto.embeddings.word_embeddings.weight.grad,
        [p.grad is not None for p in auto.encoder.layer[0].parameters()].count(True),
    )


@step
def halves_the_layers():
    one = new()
    auto = one._first_module().auto_model
    auto.encoder.layer = torch.nn.ModuleList([auto.encoder.layer[0]])
    auto.config.num_hidden_layers = 1
    path = scratch("one-layer")
    one.save(path)
    return one.encode(S[:2]), SentenceTransformer(path, model_kwargs=EXACT).encode(S[:2])


@step
def optimizer_groups():
    one = new()
    no_decay = ["bias", "LayerNorm.bias", "LayerNorm.weight"]
    named = list(one.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(nd in n for nd in no_decay)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(nd in n for nd in no_decay)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    return [len(group["params"]) for group in optimizer.param_groups]


@step
def a_custom_loop_with_adamw():
    one = new()
    optimizer = torch.optim.AdamW(one.parameters(), lr=1e-3)
    one.train()
    values = []
    for _ in range(3):
        a, b = one(one.tokenize(S[:4])), one(one.tokenize(S[4:]))
        loss = nn.functional.mse_loss(
            torch.cosine_similarity(a["sentence_embedding"], b["sentence_embedding"]),
            torch.tensor([1.0, 0, 1, 0]),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    one.eval()
    return values, one.encode(S[:2])


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = new()
        self.head = fill(nn.Linear(24, 3))

    def forward(self, texts):
        features = self.encoder.tokenize(texts)
        return self.head(self.encoder(features)["sentence_embedding"])


@step
def a_network_owns_the_model():
    net = Classifier()
    return len(list(net.parameters())), len(net.state_dict()), net(S[:2])


@step
def a_network_trains_the_model():
    net = Classifier()
    before = net.encoder.encode(S[0])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    loss = nn.CrossEntropyLoss()(net(S[:4]), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimizer.step()
    return loss, before, net.encoder.encode(S[0])


@step
def a_network_goes_to_eval_and_train():
    net = Classifier()
    net.eval()
    first = net.encoder.training, net.encoder[0].training
    net.train()
    return first, net.encoder.training, net.encoder[0].auto_model.training


@step
def a_network_is_saved_and_loaded():
    one, two = Classifier(), Classifier()
    fill(one.encoder)
    two.load_state_dict(one.state_dict())
    return two.encoder.encode(S[0])


@step
def a_forward_hook_sees_the_output():
    one = new()
    seen = []
    handle = one[0].register_forward_hook(
        lambda module, inputs, output: seen.append(output["token_embeddings"].shape)
    )
    embeddings = one.encode(S[:2])
    handle.remove()
    one.encode(S[:2])
    return len(seen), seen[0], embeddings


@step
def a_forward_hook_changes_the_output():
    one = new()

    def double(module, inputs, output):
        output["sentence_embedding"] = output["sentence_embedding"] * 2
        return output

    one[1].register_forward_hook(double)
    return one.encode(S[:2])


@step
def a_hook_on_a_layer_of_the_transformer():
    one = new()
    seen = []
    one[0].auto_model.encoder.layer[0].register_forward_hook(lambda *args: seen.append(1))
    one.encode(S[0])
    return len(seen)


@step
def appends_and_removes_modules():
    one = new()
    one.append(models.Normalize())
    normalized = one.encode(S[:2])
    del one[-1]
    return normalized, one.encode(S[:2]), len(one)


@step
def add_module_by_name():
    one = new()
    one.add_module("2", fill(models.Dense(24, 8, activation_function=nn.Tanh())))
    return one.encode(S[:2]), one.get_sentence_embedding_dimension(), list(one._modules)


@step
def replaces_the_pooling():
    one = new()
    one[1] = models.Pooling(24, pooling_mode="cls")
    return one.encode(S[:2])


@step
def builds_of_an_ordered_dict():
    one = SentenceTransformer(
        modules=OrderedDict(
            words=models.Transformer(bert(), model_args=EXACT), pool=models.Pooling(24, "max")
        )
    )
    return one.encode(S[:2]), list(one._modules)


@step
def changes_a_weight_in_place():
    one = new()
    one.encode(S[0])
    with torch.no_grad():
        one[0].auto_model.embeddings.word_embeddings.weight.mul_(0.5)
    return one.encode(S[:2])


@step
def half_and_double():
    one = new().double()
    two = new().bfloat16()
    return (
        next(one.parameters()).dtype,
        one.encode(S[0], convert_to_tensor=True).dtype,
        next(two.parameters()).dtype,
        new().double().float().encode(S[0]),
    )


@step
def half_precision_vectors():
    one = new().half()
    embeddings = one.encode(S[:2])
    return embeddings.dtype.name, next(one.parameters()).dtype, embeddings.shape


@step(near=5e-2)
def quantizes_dynamically():
    one = torch.quantization.quantize_dynamic(new(), {nn.Linear}, dtype=torch.qint8)
    return one.encode(S[:2])


@step
def data_parallel_wraps_it():
    wrapped = nn.DataParallel(new())
    inner = wrapped.module if hasattr(wrapped, "module") else wrapped
    out = wrapped(inner.tokenize(S[:2]))
    return type(inner).__name__, out["sentence_embedding"].shape


@step
def isinstance_of_torch_classes():
    return (
        isinstance(model(), nn.Module),
        isinstance(model(), nn.Sequential),
        isinstance(model()[1], nn.Module),
    )


@step
def apply_and_modules():
    seen = []
    new().apply(lambda module: seen.append(type(module).__name__))
    kinds = [type(module).__name__ for module in model().modules()]
    return (
        seen[-1],
        kinds[0],
        seen.count("Linear"),
        kinds.count("LayerNorm"),
        [n for n, _ in model().named_children()],
    )


@step
def zero_grad_and_requires_grad():
    one = new()
    one.requires_grad_(False)
    before = any(p.requires_grad for p in one.parameters())
    one.requires_grad_(True)
    one(one.tokenize(S[:1]))["sentence_embedding"].sum().backward()
    one.zero_grad()
    return before, all(p.grad is None for p in one.parameters())


@step
def to_returns_itself():
    one = new()
    return one.to("cpu") is one, one.to(torch.device("cpu")) is one, one.cpu() is one, one.eval() is one


@step
def gradients_of_an_embedding():
    one = new()
    embedding = one(one.tokenize([S[0]]))["sentence_embedding"]
    embedding.norm().backward()
    return embedding.requires_grad, one[0].auto_model.embeddings.word_embeddings.weight.grad.shape


@step
def adds_tokens_and_resizes():
    one = new()
    word = one._first_module()
    added = word.tokenizer.add_tokens(["[NEW]", "[DOC]"], special_tokens=True)
    word.auto_model.resize_token_embeddings(len(word.tokenizer))
    with torch.no_grad():
        word.auto_model.embeddings.word_embeddings.weight[-2:] = 0.1
    ids = one.tokenize(["[NEW] a cat [DOC]"])["input_ids"]
    return added, ids, one.encode(["[NEW] a cat [DOC]", "a cat"])


@step
def printing_a_model():
    lines = str(model()).splitlines()
    return lines[0], len(lines), repr(model()[1])[:8]


@step
def compiled_without_a_compiler():
    one = torch.compile(new(), backend="eager")
    return one.encode(S[0]).shape if hasattr(one, "encode") else None


if __name__ == "__main__":
    run(near=1e-4)
