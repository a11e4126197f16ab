% make_matlab_fixtures.m - networks as MATLAB has them, and what they compute, for tests/test_matlab.py.
%
%     octave-cli tools/make_matlab_fixtures.m          % from the top folder
%
% Octave has no networks. A struct with the properties that MATLAB's object has stands in for one; the function of the
% guide, docs/examples/network_struct.m, turns it into what is saved, and tests/data/matlab/evaluate.m computes its
% outputs by the manual's formulas: a .mat and a .txt, a line of inputs and outputs for every sample. Of some networks
% there is a .m as genFunction lays it out, whose outputs must be the same.
1;

function v = values(n, m)  % the same in every run, from -2 to 2
    persistent at;
    if isempty(at), at = 0; end
    v = reshape(2 * sin(0.7 + 1.3 * (at + (1:n * m)) .^ 1.1), n, m);
    at = at + n * m;
end

function s = mapminmax(x)
    low = min(x, [], 2); high = max(x, [], 2);
    s = struct('name', 'mapminmax', 'xrows', rows(x), 'xmax', high, 'xmin', low, 'xrange', high - low, ...
               'yrows', rows(x), 'ymax', 1, 'ymin', -1, 'yrange', 2, 'no_change', 0, ...
               'gain', 2 ./ (high - low), 'xoffset', low);
end

function s = mapstd(x)
    s = struct('name', 'mapstd', 'xrows', rows(x), 'yrows', rows(x), 'xmean', mean(x, 2), 'xstd', std(x, 0, 2), ...
               'ymean', 0, 'ystd', 1, 'no_change', 0, 'gain', 1 ./ std(x, 0, 2), 'xoffset', mean(x, 2));
end

function [s, x] = removeconstantrows(x)
    gone = (max(x, [], 2) == min(x, [], 2))';
    s = struct('max_range', 0, 'keep', find(~gone), 'remove', find(gone), 'value', x(gone, 1), 'xrows', rows(x), ...
               'yrows', sum(~gone), 'constants', x(gone, 1), 'no_change', ~any(gone));
    x = x(~gone, :);
end

% The struct of a network: widths(1) inputs after processing; from{i}: layers that feed layer i, 0 the inputs.
function net = made(widths, transfers, from, biases)
    n = numel(transfers);
    net = struct('numLayers', n, 'numInputDelays', 0, 'numLayerDelays', 0, 'performFcn', 'mse');
    net.IW = cell(n, 1); net.LW = cell(n, n); net.b = cell(n, 1); net.layers = cell(n, 1); net.outputs = cell(1, n);
    for i = 1:n
        net.layers{i} = struct('size', widths(i + 1), 'transferFcn', transfers{i}, 'netInputFcn', 'netsum');
        if biases(i), net.b{i} = values(widths(i + 1), 1); end
        for k = from{i}
            if k, net.LW{i, k} = values(widths(i + 1), widths(k + 1)); else, net.IW{i, 1} = values(widths(i + 1), widths(1)); end
        end
    end
    net.inputs = {struct('size', widths(1), 'processFcns', {{}}, 'processSettings', {{}})};
    net.outputs{n} = struct('size', widths(end), 'processFcns', {{}}, 'processSettings', {{}});
end

function side = processed(x, names)
    side = struct('size', rows(x), 'processFcns', {names}, 'processSettings', {cell(size(names))});
    for i = 1:numel(names)
        switch names{i}
            case 'mapminmax', side.processSettings{i} = mapminmax(x);
            case 'mapstd', side.processSettings{i} = mapstd(x);
            case 'removeconstantrows', [side.processSettings{i}, x] = removeconstantrows(x);
            case 'fixunknowns'
                side.processSettings{i} = struct('known', 1:rows(x), 'unknown', [], 'shift', zeros(1, rows(x)), 'no_change', 1);
        end
    end
end

function keep(name, net, x, version)
    folder = 'tests/data/matlab/';
    s = network_struct(net);
    save([folder name '.mat'], '-struct', 's', version);
    show([folder name '.txt'], [x; evaluate(net, x)]);
end

function show(path, columns)
    file = fopen(path, 'w');
    fprintf(file, [repmat(' %.17g', 1, rows(columns)) '\n'], columns);
    fclose(file);
end

function text = shown(matrix)
    text = regexprep(mat2str(matrix, 17), ',', ' ');
end

% The text of a function, as genFunction lays it out; kind: "matrix", "cells", "underscores" or "rows"
function keep_function(name, net, x, kind)
    out = '';
    dot = ifelse(strcmp(kind, 'underscores'), '_', '.');
    n = net.numLayers;
    in = ifelse(strcmp(kind, 'cells'), 'X{1,ts}', 'x1');
    if strcmp(kind, 'cells')
        out = [out sprintf('function [Y,Xf,Af] = %s(X,~,~)\n', name)];
    else
        out = [out sprintf('function [y1] = %s(x1)\n', name)];
    end
    form = ifelse(strcmp(kind, 'rows'), 'Qx%d', '%dxQ');
    out = [out sprintf(['%%   x = ' form ' matrix, input #1\n\n%% ===== CONSTANTS =====\n\n%% Input 1\n'], rows(x))];
    out = [out steps(net.inputs{1}, 'x1', dot)];
    for i = 1:n
        out = [out sprintf('\n%% Layer %d\n', i)];
        if ~isempty(net.b{i}), out = [out sprintf('b%d = %s;\n', i, shown(net.b{i}))]; end
        if ~isempty(net.IW{i, 1}), out = [out sprintf('IW%d_1 = %s;\n', i, shown(net.IW{i, 1}))]; end
        for j = 1:n
            if ~isempty(net.LW{i, j}), out = [out sprintf('LW%d_%d = %s;\n', i, j, shown(net.LW{i, j}))]; end
        end
    end
    out = [out sprintf('\n%% Output 1\n') steps(net.outputs{n}, 'y1', dot)];
    out = [out sprintf('\n%% ===== SIMULATION ========\n\n')];
    xp = ifelse(strcmp(kind, 'cells'), 'Xp1', 'xp1');
    if strcmp(kind, 'cells')
        out = [out sprintf('isCellX = iscell(X);\nif ~isCellX, X = {X}; end;\nTS = size(X,2); %% timesteps\n')];
        out = [out sprintf('Q = size(X{1},2);\nY = cell(1,TS);\nfor ts=1:TS\n\n')];
    elseif strcmp(kind, 'rows')
        out = [out sprintf('Q = size(x1,1); %% samples\nx1 = x1'';\n')];
    else
        out = [out sprintf('Q = size(x1,2); %% samples\n')];
    end
    used = {};
    for i = 1:numel(net.inputs{1}.processFcns)
        if net.inputs{1}.processSettings{i}.no_change, continue, end
        call = net.inputs{1}.processFcns{i};
        out = [out sprintf('%s = %s_apply(%s,%s);\n', xp, call, in, arguments('x1', numel(used) + 1, call, dot))];
        used{end + 1} = call;
        in = xp;
    end
    for i = 1:n
        terms = {};
        if ~isempty(net.b{i}), terms{end + 1} = sprintf('repmat(b%d,1,Q)', i); end
        if ~isempty(net.IW{i, 1}), terms{end + 1} = sprintf('IW%d_1*%s', i, in); end
        for j = 1:n
            if ~isempty(net.LW{i, j}), terms{end + 1} = sprintf('LW%d_%d*a%d', i, j, j); end
        end
        total = strjoin(terms, ' + ');
        if ~strcmp(net.layers{i}.transferFcn, 'purelin'), total = [net.layers{i}.transferFcn '_apply(' total ')']; end
        out = [out sprintf('a%d = %s;\n', i, total)];
    end
    [back, reversed] = outputs_back(net.outputs{n}, sprintf('a%d', n), dot);
    if strcmp(kind, 'cells')
        out = [out sprintf('%sY{1,ts} = y1;\nend\nif ~isCellX, Y = cell2mat(Y); end\nend\n', back)];
    else
        out = [out back ifelse(strcmp(kind, 'rows'), sprintf('y1 = y1'';\n'), '') sprintf('end\n')];
    end
    for name_of = unique([strcat(used, '_apply'), reversed]), out = [out sprintf('\n') module(name_of{1}, dot)]; end
    for i = 1:n, kinds{i} = net.layers{i}.transferFcn; end
    for name_of = setdiff(unique(kinds), {'purelin'}), out = [out sprintf('\n') module([name_of{1} '_apply'], dot)]; end
    file = fopen(['tests/data/matlab/' name '.m'], 'w');
    fputs(file, out);
    fclose(file);
    y = evaluate(net, x);
    rehash();
    if strcmp(kind, 'rows'), got = feval(name, x')'; else, got = feval(name, x); end
    assert(max(abs(got(:) - y(:))) < 1e-12);
    show(['tests/data/matlab/' name '.m.txt'], [x; got]);
end

function v = ifelse(condition, a, b)
    if condition, v = a; else, v = b; end
end

function text = arguments(side, number, call, dot)
    name = sprintf('%s_step%d', side, number);
    if strcmp(dot, '.'), text = name; else, text = [name '_gain,' name '_xoffset,' name '_ymin']; end
end

function text = steps(side, name, dot)
    text = '';
    number = 0;
    for i = 1:numel(side.processFcns)
        s = side.processSettings{i};
        if s.no_change, continue, end
        number = number + 1;
        switch side.processFcns{i}
            case 'mapminmax', names = {'xoffset', 'gain', 'ymin'};
            case 'mapstd', names = {'xoffset', 'gain', 'ymean'};
            otherwise, names = ifelse(name(1) == 'x', {'keep'}, {'xrows', 'keep', 'remove', 'constants'});
        end
        for each = names, text = [text sprintf('%s_step%d%s%s = %s;\n', name, number, dot, each{1}, shown(s.(each{1})))]; end
    end
end

function [text, reversed] = outputs_back(side, value, dot)
    text = ''; reversed = {}; calls = {};
    for i = 1:numel(side.processFcns)
        if ~side.processSettings{i}.no_change, calls{end + 1} = side.processFcns{i}; end
    end
    for i = numel(calls):-1:1
        text = [text sprintf('temp = %s_reverse(%s,%s);\n', calls{i}, value, arguments('y1', i, calls{i}, dot))];
        value = 'temp';
        reversed{end + 1} = [calls{i} '_reverse'];
    end
    text = [text sprintf('y1 = %s;\n', value)];
end

function text = module(name, dot)
    parts = {'mapminmax_apply', 'y', 'x,settings', 'y = (x - settings.xoffset) .* settings.gain + settings.ymin;'
             'mapminmax_reverse', 'x', 'y,settings', 'x = (y - settings.ymin) ./ settings.gain + settings.xoffset;'
             'mapstd_apply', 'y', 'x,settings', 'y = (x - settings.xoffset) .* settings.gain + settings.ymean;'
             'mapstd_reverse', 'x', 'y,settings', 'x = (y - settings.ymean) ./ settings.gain + settings.xoffset;'
             'removeconstantrows_apply', 'y', 'x,settings', 'y = x(settings.keep,:);'
             'removeconstantrows_reverse', 'x', 'y,settings', ['x = zeros(settings.xrows,size(y,2));' ...
              ' x(settings.keep,:) = y; x(settings.remove,:) = repmat(settings.constants,1,size(y,2));']
             'tansig_apply', 'a', 'n,~', 'a = 2 ./ (1 + exp(-2*n)) - 1;'
             'logsig_apply', 'a', 'n,~', 'a = 1 ./ (1 + exp(-n));'
             'softmax_apply', 'a', 'n,~', 'a = exp(n - max(n,[],1)); a = a ./ sum(a,1);'};
    i = find(strcmp(parts(:, 1), name));
    text = sprintf('function %s = %s(%s)\n%s\nend\n', parts{i, 2}, name, parts{i, 3}, parts{i, 4});
    if strcmp(dot, '_')
        text = strrep(strrep(text, ',settings)', ',settings_gain,settings_xoffset,settings_ymin)'), 'settings.', 'settings_');
    end
end

addpath('docs/examples', 'tests/data/matlab');
x = 5 + 3 * values(3, 20); t = 2 * values(2, 20) - 7;
usual = {'removeconstantrows', 'mapminmax'};

fit = made([3 4 2], {'tansig', 'purelin'}, {0, 1}, [1 1]);
fit.inputs{1} = processed(x, usual); fit.outputs{2} = processed(t, usual);
keep('fitnet', fit, x, '-v7');
keep('fitnet_v6', fit, x, '-v6');
keep_function('fit_matrix', fit, x, 'matrix');
keep_function('fit_cells', fit, x, 'cells');
keep_function('fit_underscores', fit, x, 'underscores');
keep_function('fit_rows', fit, x, 'rows');

wide = [x(1, :); repmat(4, 1, 20); x(2:3, :); repmat(-1, 1, 20)];
pattern = made([3 5 3], {'tansig', 'softmax'}, {0, 1}, [1 1]);
pattern.inputs{1} = processed(wide, usual);
pattern.performFcn = 'crossentropy';
keep('patternnet', pattern, wide, '-v7');
keep_function('pattern_matrix', pattern, wide, 'matrix');

cascade = made([3 3 2 2], {'logsig', 'elliotsig', 'purelin'}, {0, [0 1], [0 1 2]}, [1 1 1]);
cascade.inputs{1} = processed(x, {'mapstd'}); cascade.outputs{3} = processed(t, {'mapstd'});
cascade.performFcn = 'mae';
keep('cascade', cascade, x, '-v7');

cascade = made([3 3 2 2], {'logsig', 'tansig', 'purelin'}, {0, [0 1], [0 1 2]}, [1 1 1]);
cascade.inputs{1} = processed(x, {'mapstd'}); cascade.outputs{3} = processed(t, {'mapstd'});
keep_function('cascade_matrix', cascade, x, 'matrix');

both = made([3 4 2], {'tansig', 'purelin'}, {0, 1}, [1 1]);
both.inputs{1} = processed(x, {'fixunknowns', 'removeconstantrows', 'mapstd', 'mapminmax'});
both.outputs{2} = processed([t(1, :); repmat(11, 1, 20); t(2, :)], usual);
keep('constant_output', both, x, '-v7');
keep_function('constant_output_matrix', both, x, 'matrix');

parts = made([3 4 3 2], {'tansig', 'radbas', 'purelin'}, {0, 0, [1 2]}, [0 1 1]);
keep('two_columns', parts, x / 4, '-v7');

for name = {'tansig', 'logsig', 'purelin', 'poslin', 'satlin', 'satlins', 'radbas', 'elliotsig'}
    keep(['each_' name{1}], made([3 4 2], {name{1}, name{1}}, {0, 1}, [1 1]), x / 4 - 1, '-v7');
end
