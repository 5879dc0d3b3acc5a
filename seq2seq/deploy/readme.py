"""The text files of an exported directory."""

from __future__ import annotations

from seq2seq.deploy.plans import Plan

USES = {
    "translator": ("translates text, a sentence per line", "python translate.py < sentences.txt > translations.txt"),
    "generator": ("writes a text for each input", "python translate.py INPUT... > texts.tsv"),
    "predictor": ("answers each input", "python translate.py INPUT... > answers.tsv"),
    "language_model": ("goes on writing a text", 'python translate.py "It was"'),
}
WEB = """| `web/` | a page for any web server, which runs the model in a browser ([web/README.md](web/README.md)) |
"""
READS = {
    "subwords": "text, an input per line",
    "characters": "text, an input per line",
    "image": "pictures",
    "sound": "WAV files of one channel and 16 bits",
    "array": "numbers: .npy files, or .csv files with a row per step",
    "text": "text",
}


def requirements(plan: Plan, file_format: str) -> str:
    """The packages that the files need."""
    packages = ["numpy>=1.26", "onnxruntime>=1.20"] if file_format == "onnx" else ["torch>=2.10"]
    if plan.settings["vocabularies"]:
        packages.append("sentencepiece>=0.2.1")
    if plan.settings["reader"]["kind"] == "image":
        packages.append("pillow>=12.3")
    return "".join(f"{package}\n" for package in packages)


def readme(plan: Plan, kind: str, run: str, precision: str, file_format: str, web: bool = False) -> str:
    """What the directory is and how it is used. web: whether it holds a page."""
    what, command = USES[kind]
    if file_format == "torch":
        return _readme_of_programs(plan, kind, run, what)
    graphs = ", ".join(f"`{name}.onnx`" for name in plan.graphs)
    return f"""# {run}, exported

A recurrent model ({kind}, {precision}) that {what}. It needs neither torch nor the toolkit that trained it.

    pip install -r requirements.txt
    {command}

`python translate.py --help` lists the options. In a program of your own:

    from translate import Exported
    model = Exported("the folder of this file")

It reads {READS[plan.settings["reader"]["kind"]]}.

| file | what it is |
|---|---|
| {graphs} | the model, in ONNX |
| `translate.py` | search, batching, command line; plain Python to read and change |
| `beam.py`, `parts.py`, `inputs.py` | what it goes by: the search, files, other kinds of model, inputs |
| `config.json` | kind, what the graphs take and give, where the model comes from, checksums of all files |
| `generation_config.json` | settings of the search, where the model searches |
| `*.spm.model` | SentencePiece vocabularies, where the model reads or writes text |
| `requirements.txt` | the packages |
{WEB if web else ""}"""


def _readme_of_programs(plan: Plan, kind: str, run: str, what: str) -> str:
    tables = "\n\n".join(
        f"`{name}.pt2` takes {', '.join(graph.inputs)}; gives {', '.join(graph.outputs)}."
        for name, graph in plan.graphs.items()
    )
    return f"""# {run}, exported for torch

A recurrent model ({kind}) that {what}, as programs of torch.export for any batch size and length: without the toolkit
that trained it, for mobile or ahead-of-time compilers.

    program = torch.export.load("{next(iter(plan.graphs))}.pt2").module(check_guards=False)

{tables}

`config.json` says which tensors of the state the hypotheses of a sentence share, and where the model comes from.
"""
