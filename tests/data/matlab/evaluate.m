function y = evaluate(net, x)
%EVALUATE The outputs of a network, by the formulas in the manual of MATLAB's toolbox. A sample is a column.
side = net.inputs{1};
for i = 1:numel(side.processFcns)
    x = process(side.processFcns{i}, side.processSettings{i}, x);
end
n = numel(net.layers);
a = cell(n, 1);
for i = 1:n
    z = zeros(net.layers{i}.size, size(x, 2));
    if ~isempty(net.b{i}), z = z + net.b{i}; end
    if ~isempty(net.IW{i, 1}), z = z + net.IW{i, 1} * x; end
    for j = 1:n
        if ~isempty(net.LW{i, j}), z = z + net.LW{i, j} * a{j}; end
    end
    a{i} = transfer(net.layers{i}.transferFcn, z);
end
y = a{n};
side = net.outputs{n};
for i = numel(side.processFcns):-1:1
    y = restore(side.processFcns{i}, side.processSettings{i}, y);
end
end

function a = transfer(name, n)
switch name
    case 'tansig', a = 2 ./ (1 + exp(-2 * n)) - 1;
    case 'logsig', a = 1 ./ (1 + exp(-n));
    case 'purelin', a = n;
    case 'poslin', a = n .* (n > 0);
    case 'satlin', a = n .* (n >= 0 & n <= 1) + (n > 1);
    case 'satlins', a = n .* (n >= -1 & n <= 1) + (n > 1) - (n < -1);
    case 'radbas', a = exp(-n .^ 2);
    case 'elliotsig', a = n ./ (1 + abs(n));
    case 'softmax', a = exp(n) ./ sum(exp(n), 1);
    otherwise, error('no %s', name);
end
end

function y = process(name, s, x)
switch name
    case 'mapminmax', y = (s.ymax - s.ymin) .* (x - s.xmin) ./ (s.xmax - s.xmin) + s.ymin;
    case 'mapstd', y = (x - s.xmean) .* (s.ystd ./ s.xstd) + s.ymean;
    case 'removeconstantrows', y = x(s.keep, :);
    case 'fixunknowns', y = x;
    otherwise, error('no %s', name);
end
end

function x = restore(name, s, y)
switch name
    case 'mapminmax', x = (y - s.ymin) .* (s.xmax - s.xmin) ./ (s.ymax - s.ymin) + s.xmin;
    case 'mapstd', x = (y - s.ymean) .* (s.xstd ./ s.ystd) + s.xmean;
    case 'removeconstantrows'
        x = zeros(s.xrows, size(y, 2));
        x(s.keep, :) = y;
        x(s.remove, :) = repmat(s.constants, 1, size(y, 2));
    otherwise, error('no %s', name);
end
end
