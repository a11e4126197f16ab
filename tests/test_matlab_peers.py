"""Functions that cbp exports, run by Octave, where it is installed (Debian: octave), and the lines of the guide."""

import shutil
import subprocess

import numpy as np
import pytest
from test_matlab import DATA, NETWORKS, relative

OCTAVE = shutil.which("octave-cli")
EXAMPLES = DATA.parents[2] / "docs" / "examples"
NETWORK = """function net = network(n_inputs, n, biases, inputs, layers, outputs)
% What MATLAB's function of this name returns, as far as struct_network.m writes into it.
assert(n_inputs == 1 && isequal(size(biases), [n 1]) && isequal(size(inputs), [n 1]));
assert(isequal(size(layers), [n n]) && isequal(outputs, [zeros(1, n - 1) 1]) && all(triu(layers)(:) == 0));
net = struct('inputs', {cell(1, 1)}, 'layers', {cell(n, 1)}, 'outputs', {cell(1, n)});
net.b = cell(n, 1); net.IW = cell(n, 1); net.LW = cell(n, n);
end
"""
SIDE = """function side = settled(side, example)
% The settings that MATLAB finds from an example.
side.processSettings = cell(size(side.processFcns));
for i = 1:numel(side.processFcns)
    side.processSettings{i} = struct('xmin', min(example, [], 2), 'xmax', max(example, [], 2), 'ymin', -1, 'ymax', 1);
end
end
"""
rng = np.random.default_rng(4)

pytestmark = [
    pytest.mark.skipif(OCTAVE is None, reason="no Octave"),
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="these are the tests of a wheel, not a checkout"),
]


def octave(folder, script, X):
    """What a script makes of x, samples in columns: its y."""
    np.savetxt(folder / "x.txt", X.T, fmt="%.17g")
    (folder / "made.m").write_text(
        f"x = load('x.txt');\n{script}\nfile = fopen('y.txt', 'w');\n"
        "fprintf(file, [repmat(' %.17g', 1, rows(y)) '\\n'], y);\nfclose(file);\n"
    )
    command = [OCTAVE, "--norc", "--quiet", "made.m"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return np.loadtxt(folder / "y.txt", ndmin=2)


def test_octave_computes_the_same_with_exported_functions(tmp_path):
    X = rng.normal(size=(20, 3))
    for name, net in NETWORKS.items():
        net.export(tmp_path / f"exported_{name}.m")
    script = "y = [" + "; ".join(f"exported_{name}(x)" for name in NETWORKS) + "];"
    outputs = np.hsplit(octave(tmp_path, script, X), len(NETWORKS))
    for (name, net), y in zip(NETWORKS.items(), outputs, strict=True):
        assert relative(y, net.predict(X)) < (1e-6 if name == "float" else 1e-14), name


def test_the_lines_of_the_guide_make_a_network_of_a_struct(tmp_path):
    X = rng.normal(size=(20, 3))
    for path in (EXAMPLES / "struct_network.m", EXAMPLES / "network_struct.m", DATA / "evaluate.m"):
        shutil.copy(path, tmp_path)
    (tmp_path / "network.m").write_text(NETWORK)
    (tmp_path / "settled.m").write_text(SIDE)
    lines = ["y = [];"]
    for name, net in NETWORKS.items():
        net.export(tmp_path / f"{name}.mat")
        lines.append(f"net = struct_network(load('{name}.mat'));")
        lines.append("net.inputs{1} = settled(net.inputs{1}, net.inputs{1}.exampleInput);")
        lines.append("net.outputs{end} = settled(net.outputs{end}, net.outputs{end}.exampleOutput);")
        lines.append("y = [y; evaluate(net, x)];")
    outputs = np.hsplit(octave(tmp_path, "\n".join(lines), X), len(NETWORKS))
    for (name, net), y in zip(NETWORKS.items(), outputs, strict=True):
        assert relative(y, net.predict(X)) < (1e-6 if name == "float" else 1e-13), name


def test_octave_runs_the_fixtures(tmp_path):
    for path in DATA.glob("*.m"):
        shutil.copy(path, tmp_path)
    table = np.loadtxt(DATA / "fit_cells.m.txt")
    y = octave(tmp_path, "y = [fit_matrix(x); fit_cells(x); fit_underscores(x); fit_rows(x')'];", table[:, :3])
    for part in np.hsplit(y, 4):
        assert relative(part, table[:, 3:]) < 1e-15
